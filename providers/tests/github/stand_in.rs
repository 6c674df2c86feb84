//! A stand-in for the part of GitHub's API that `kplan comment` uses, as strict as GitHub: it
//! refuses what GitHub refuses, with its status and the shape of its errors. Other test programs
//! include this file by its path.

use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// The pull request that is there: number 7 of `acme/infra`.
const LIST: &str = "/repos/acme/infra/issues/7/comments";
const ONE: &str = "/repos/acme/infra/issues/comments/";
/// Where the documentation of errors is said to be.
const DOCUMENTATION: &str = "https://docs.github.com/rest/issues/comments";
/// The most characters of a comment.
const LONGEST: usize = 65_536;

/// Who a token speaks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) token: &'static str,
    pub(crate) login: &'static str,
    pub(crate) id: u64,
    /// Whether it may write pull requests.
    pub(crate) writes: bool,
}

/// The token of a workflow: `/user` is not for it.
pub(crate) const WORKFLOW: Speaker = Speaker {
    token: "ghp_canary0123456789abcdefghijklmnopqrst",
    login: "github-actions[bot]",
    id: 41_898_282,
    writes: true,
};
/// The token of a workflow for a pull request from a fork.
pub(crate) const FORK: Speaker = Speaker {
    token: "ghs_reads_only",
    writes: false,
    ..WORKFLOW
};
/// A person who may comment.
pub(crate) const MALLORY: Speaker = Speaker {
    token: "ghp_mallory",
    login: "mallory",
    id: 666,
    writes: true,
};

/// A comment.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: Speaker,
    pub(crate) body: String,
}

/// What goes wrong with the next call of a method.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) method: &'static str,
    pub(crate) status: u16,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) message: &'static str,
    /// Whether the call is carried out all the same, and only its answer is this one.
    pub(crate) done: bool,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// One call as it came.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    /// By name in lower case.
    pub(crate) headers: &'a BTreeMap<String, String>,
    pub(crate) body: &'a [u8],
}

/// The stand-in.
#[derive(Debug, Default)]
pub(crate) struct StandIn {
    pub(crate) comments: Vec<Comment>,
    pub(crate) faults: VecDeque<Fault>,
    /// Method and path of every call.
    pub(crate) calls: Vec<String>,
    /// Whether the conversation is locked.
    pub(crate) locked: bool,
    /// Whether nobody is told whose token it is.
    pub(crate) silent: bool,
}

impl StandIn {
    /// Somebody comments.
    pub(crate) fn say(&mut self, author: Speaker, body: &str) -> u64 {
        let id = 1000 + u64::try_from(self.comments.len()).unwrap();
        self.comments.push(Comment {
            id,
            author,
            body: body.to_owned(),
        });
        id
    }

    /// Somebody comments so often.
    pub(crate) fn chat(&mut self, times: usize) {
        for _ in 0..times {
            self.say(MALLORY, "looks good to me");
        }
    }

    /// Answers a call.
    pub(crate) fn answer(&mut self, call: &Call<'_>) -> Answer {
        let (path, query) = call.target.split_once('?').unwrap_or((call.target, ""));
        self.calls.push(format!("{} {path}", call.method));
        let due = |fault: &&Fault| fault.method == call.method && !path.ends_with("graphql");
        let fault = self.faults.front().filter(due).copied();
        if let Some(fault) = fault {
            self.faults.pop_front();
            if fault.done {
                let answer = self.carried_out(call, path, query);
                assert!(answer.status < 300, "{answer:?}");
            }
            let mut answer = refused(fault.status, fault.message);
            let named = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            answer.headers.extend(fault.headers.iter().map(named));
            return answer;
        }
        self.carried_out(call, path, query)
    }

    fn carried_out(&mut self, call: &Call<'_>, path: &str, query: &str) -> Answer {
        let header = |name: &str| call.headers.get(name).map(String::as_str);
        if header("user-agent").is_none_or(str::is_empty) {
            return refused(403, "Request forbidden by administrative rules.");
        }
        if header("x-github-api-version").is_some_and(|version| version != "2022-11-28") {
            return refused(400, "Not a supported version");
        }
        let Some(token) = header("authorization") else {
            return refused(401, "Requires authentication");
        };
        let token = token.strip_prefix("Bearer ").unwrap_or_default();
        let known = [WORKFLOW, FORK, MALLORY].into_iter();
        let Some(speaker) = known.clone().find(|one| one.token == token) else {
            return refused(401, "Bad credentials");
        };
        match (call.method, path) {
            ("POST", "/graphql") => self.viewer(speaker, call.body),
            ("GET", "/user") if speaker.id == WORKFLOW.id || self.silent => {
                refused(403, "Resource not accessible by integration")
            }
            ("GET", "/user") => ok(200, &json!({ "id": speaker.id, "login": speaker.login })),
            ("GET", LIST) => self.page(query),
            ("POST", LIST) => self.create(speaker, call.body),
            ("PATCH", path) if path.starts_with(ONE) => {
                let id = path[ONE.len()..].parse().unwrap_or(0);
                self.update(speaker, id, call.body)
            }
            _ => refused(404, "Not Found"),
        }
    }

    fn viewer(&self, speaker: Speaker, body: &[u8]) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let asked = body["query"].as_str().unwrap_or_default();
        if self.silent || !asked.contains("viewer { databaseId }") {
            return ok(
                200,
                &json!({ "errors": [{ "type": "FORBIDDEN", "message": "no" }] }),
            );
        }
        let viewer = json!({ "databaseId": speaker.id });
        ok(200, &json!({ "data": { "viewer": viewer } }))
    }

    fn page(&self, query: &str) -> Answer {
        let number = |name: &str, unsaid: usize| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.filter(|(key, _)| *key == name).map(|it| it.1).next();
            value.map_or(unsaid, |value| value.parse().unwrap())
        };
        let (size, page) = (number("per_page", 30).min(100), number("page", 1));
        let pages = self.comments.len().div_ceil(size).max(1);
        let items = self.comments.iter().skip((page - 1) * size).take(size);
        let items: Vec<Value> = items.map(document).collect();
        let mut answer = ok(200, &Value::Array(items));
        // GitHub names the repository by its number there.
        let at = |page: usize, rel: &str| {
            let path = "https://api.github.com/repositories/1/issues/7/comments";
            format!("<{path}?per_page={size}&page={page}>; rel=\"{rel}\"")
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(at(page - 1, "prev"));
        }
        if page < pages {
            links.extend([at(page + 1, "next"), at(pages, "last")]);
        }
        if !links.is_empty() {
            answer.headers.push(("link".to_owned(), links.join(", ")));
        }
        answer
    }

    fn create(&mut self, speaker: Speaker, body: &[u8]) -> Answer {
        if !speaker.writes {
            return refused(403, "Resource not accessible by integration");
        }
        if self.locked {
            return refused(403, "Unable to create comment because issue is locked.");
        }
        match text_of(body) {
            Ok(text) => {
                self.say(speaker, &text);
                ok(201, &document(self.comments.last().unwrap()))
            }
            Err(answer) => answer,
        }
    }

    fn update(&mut self, speaker: Speaker, id: u64, body: &[u8]) -> Answer {
        let Some(comment) = self.comments.iter_mut().find(|one| one.id == id) else {
            return refused(404, "Not Found");
        };
        if !speaker.writes {
            return refused(403, "Resource not accessible by integration");
        }
        if comment.author.id != speaker.id {
            return refused(403, "Must have push access to repository");
        }
        match text_of(body) {
            Ok(text) => {
                comment.body = text;
                ok(200, &document(comment))
            }
            Err(answer) => answer,
        }
    }
}

/// The text of a comment that is to be written.
fn text_of(body: &[u8]) -> Result<String, Answer> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Err(refused(400, "Problems parsing JSON"));
    };
    let invalid = |message: &str| {
        let error = json!({
            "resource": "IssueComment", "code": "unprocessable", "field": "data", "message": message,
        });
        let body = json!({
            "message": "Validation Failed", "errors": [error],
            "documentation_url": DOCUMENTATION, "status": "422",
        });
        ok(422, &body)
    };
    let Some(text) = body["body"].as_str() else {
        return Err(refused(
            422,
            "Invalid request.\n\n\"body\" wasn't supplied.",
        ));
    };
    if text.trim().is_empty() {
        return Err(invalid("Body can't be blank"));
    }
    if text.chars().count() > LONGEST {
        return Err(invalid("Body is too long (maximum is 65536 characters)"));
    }
    Ok(text.to_owned())
}

fn document(comment: &Comment) -> Value {
    let id = comment.id;
    json!({
        "id": id,
        "html_url": format!("https://github.com/acme/infra/pull/7#issuecomment-{id}"),
        "body": comment.body,
        "user": { "id": comment.author.id, "login": comment.author.login },
    })
}

fn ok(status: u16, body: &Value) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

fn refused(status: u16, message: &str) -> Answer {
    let status_text = status.to_string();
    ok(
        status,
        &json!({ "message": message, "documentation_url": DOCUMENTATION, "status": status_text }),
    )
}
