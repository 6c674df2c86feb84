//! One comment of a pull request that stays one: it is found by the marker it begins with, and
//! written anew.
//!
//! Whoever may comment can write the marker. A comment of somebody else that begins with it is
//! never written over, although a token that may write pull requests could: the plan would stand
//! under another's name, and that one could change afterwards what reviewers read. So a comment
//! is ours only where the id of its author is that of the token's own user.

use super::client::{Call, GitHub};
use bytes::Bytes;
use http::{Method, Response, header};
use kplan_model::{ErrorKind, ProviderError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// Comments asked for at once: the most that GitHub gives.
const PER_PAGE: usize = 100;
/// 10,000 comments; GitHub itself allows 2,500.
const MAX_PAGES: u32 = 100;
/// How often it is looked and written at most, where nobody knows whether a write was made.
const WRITES: u32 = 3;
/// The pause before it is looked again: what was written is in the list after a moment.
const PAUSE: Duration = Duration::from_secs(2);

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Whose repository.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// The number.
    pub number: u64,
}

impl Thread {
    fn comments(&self) -> String {
        let Self {
            owner,
            name,
            number,
        } = self;
        format!("/repos/{owner}/{name}/issues/{number}/comments")
    }

    fn comment(&self, id: u64) -> String {
        format!("/repos/{}/{}/issues/comments/{id}", self.owner, self.name)
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A comment was made.
    Created,
    /// Ours was written anew.
    Updated,
    /// Ours says it already.
    Unchanged,
}

/// Another comment that begins with the marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its author; nothing where the account is gone.
    pub login: Option<String>,
    /// Where it is.
    pub url: String,
    /// Whether it is this token's own, made twice.
    pub own: bool,
}

/// The comment, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// What was done.
    pub action: Action,
    /// Where it is.
    pub url: String,
    /// Others that begin with the marker, left as they are.
    pub others: Vec<Other>,
}

#[derive(Debug, Deserialize)]
struct Comment {
    id: u64,
    html_url: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    id: u64,
    login: String,
}

impl Comment {
    fn begins_with(&self, marker: &str) -> bool {
        let rest = self.body.as_deref().and_then(|it| it.strip_prefix(marker));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['\n', '\r']))
    }

    fn says(&self, body: &str) -> bool {
        let own = self.body.as_deref().unwrap_or_default();
        // Line ends and the last blank are not the reader's business, nor ours.
        own.replace("\r\n", "\n").trim_end() == body.trim_end()
    }
}

/// What begins with the marker.
struct Found {
    ours: Option<Comment>,
    others: Vec<Other>,
}

impl GitHub {
    /// Makes the one comment that begins with `marker` say `body`, which begins with it.
    ///
    /// # Errors
    /// What GitHub refuses. Where nobody knows whether a write was made it is looked again, so there
    /// is never a second comment; only after some of that it is an error of
    /// [`ErrorKind::OutcomeUnknown`].
    pub async fn sticky(
        &self,
        thread: &Thread,
        marker: &str,
        body: &str,
    ) -> Result<Sticky, ProviderError> {
        let mut me = None;
        let mut unsure = None;
        let mut attempt = 1;
        loop {
            let found = self.find(thread, marker, &mut me).await?;
            let (action, sent) = match &found.ours {
                Some(ours) if ours.says(body) => {
                    return Ok(Sticky {
                        action: unsure.unwrap_or(Action::Unchanged),
                        url: ours.html_url.clone(),
                        others: found.others,
                    });
                }
                Some(ours) => {
                    let path = thread.comment(ours.id);
                    (
                        Action::Updated,
                        self.write(Method::PATCH, &path, body).await,
                    )
                }
                None => {
                    let path = thread.comments();
                    (Action::Created, self.write(Method::POST, &path, body).await)
                }
            };
            let error = match sent {
                Ok(comment) => {
                    return Ok(Sticky {
                        action,
                        url: comment.html_url,
                        others: found.others,
                    });
                }
                Err(error) => error,
            };
            // Somebody deleted it between the look and the write; or nobody knows.
            let gone = action == Action::Updated && error.kind == ErrorKind::NotFound;
            let again = gone || error.kind == ErrorKind::OutcomeUnknown;
            if !again || attempt >= WRITES {
                return Err(error);
            }
            unsure = Some(action);
            self.retrying(PAUSE, "writing the comment", &error);
            tokio::time::sleep(PAUSE).await;
            attempt += 1;
        }
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        body: &str,
    ) -> Result<Comment, ProviderError> {
        let call = Call {
            method,
            path,
            body: Some(json!({ "body": body })),
            reads: false,
        };
        let answer = self.send(&call).await?;
        // It was made, whatever the answer looks like: the next look finds it.
        read(&answer, path, ErrorKind::OutcomeUnknown)
    }

    /// Looks for comments that begin with the marker. Who we are is asked only where there is one.
    async fn find(
        &self,
        thread: &Thread,
        marker: &str,
        me: &mut Option<u64>,
    ) -> Result<Found, ProviderError> {
        let mut found = Found {
            ours: None,
            others: Vec::new(),
        };
        let all = self.comments(thread).await?;
        let mut marked = all
            .into_iter()
            .filter(|it| it.begins_with(marker))
            .peekable();
        if marked.peek().is_none() {
            return Ok(found);
        }
        let me = match *me {
            Some(me) => me,
            None => *me.insert(self.me().await?),
        };
        for comment in marked {
            let own = comment.user.as_ref().is_some_and(|user| user.id == me);
            if own && found.ours.is_none() {
                found.ours = Some(comment);
                continue;
            }
            found.others.push(Other {
                login: comment.user.map(|user| user.login),
                url: comment.html_url,
                own,
            });
        }
        Ok(found)
    }

    /// Every comment of the pull request, the oldest first. A page that another follows says so; it
    /// is asked for at our own address, because the token goes nowhere else.
    async fn comments(&self, thread: &Thread) -> Result<Vec<Comment>, ProviderError> {
        let list = thread.comments();
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let path = format!("{list}?per_page={PER_PAGE}&page={page}");
            let answer = self.send(&Call::get(&path)).await?;
            all.extend(read::<Vec<Comment>>(&answer, &list, ErrorKind::Bug)?);
            if !has_next(&answer) {
                return Ok(all);
            }
        }
        let message = format!("GET {list} has more than {MAX_PAGES} pages");
        Err(ProviderError::new(ErrorKind::Bug, message))
    }

    /// The id of the token's own user. A workflow's token and those of other Apps may not ask for
    /// `/user`, but GraphQL tells them; the tokens of people can do both.
    async fn me(&self) -> Result<u64, ProviderError> {
        let asked = Call {
            method: Method::POST,
            path: self.graphql(),
            body: Some(json!({ "query": "query { viewer { databaseId } }" })),
            reads: true,
        };
        let viewer = match self.send(&asked).await {
            Ok(answer) => serde_json::from_slice::<Value>(answer.body())
                .ok()
                .and_then(|body| body.pointer("/data/viewer/databaseId")?.as_u64()),
            Err(error) if is_unanswered(&error) => return Err(error),
            Err(_) => None,
        };
        if let Some(id) = viewer {
            return Ok(id);
        }
        match self.send(&Call::get("/user")).await {
            Ok(answer) => Ok(read::<User>(&answer, "/user", ErrorKind::Bug)?.id),
            Err(error) if is_unanswered(&error) => Err(error),
            Err(error) => Err(ProviderError::new(
                ErrorKind::Denied,
                format!(
                    "a comment of the pull request begins with kplan's marker, and GitHub does not \
                     say whose token this is, so nobody knows whether the comment is kplan's: {}",
                    error.message
                ),
            )
            .help(
                "use a workflow's token, a GitHub App's or a person's; or delete that comment, and \
                 kplan makes its own",
            )),
        }
    }
}

/// Whether nobody answered, or said to come again later.
fn is_unanswered(error: &ProviderError) -> bool {
    matches!(error.kind, ErrorKind::Transient | ErrorKind::Throttled)
}

/// Whether a page says that another follows.
fn has_next(answer: &Response<Bytes>) -> bool {
    let links = answer.headers().get_all(header::LINK).iter();
    let mut links = links.filter_map(|value| value.to_str().ok());
    links.any(|value| value.split(',').any(|link| link.contains("rel=\"next\"")))
}

/// Reads an answer.
fn read<T: DeserializeOwned>(
    answer: &Response<Bytes>,
    path: &str,
    kind: ErrorKind,
) -> Result<T, ProviderError> {
    serde_json::from_slice(answer.body()).map_err(|error| {
        let message = format!(
            "GitHub's answer about {path} cannot be read: {:?} error at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        );
        ProviderError::new(kind, message)
            .help("is GITHUB_API_URL GitHub's API, or did a proxy answer in its place?")
    })
}
