//! The sticky comment against a stand-in that refuses what GitHub refuses.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside test functions; a failing one fails its test"
)]

mod stand_in;

use bytes::Bytes;
use http::{Request, Response};
use kplan_model::{BoxFuture, ErrorKind, ProviderError, Secret, Timestamp};
use kplan_providers::github::{Action, GitHub, GitHubConfig, Other, Sticky, Thread};
use kplan_providers::http::{HttpEvent, Transport, TransportError};
use stand_in::{Call, FORK, Fault, MALLORY, Speaker, StandIn, WORKFLOW};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MARKER: &str = "<!-- kplan:plan:demo -->";
const BODY: &str = "<!-- kplan:plan:demo -->\n## kplan: demo: 1 to change\n";

/// The stand-in, and what was heard of waits.
#[derive(Clone, Default)]
struct World {
    github: Arc<Mutex<StandIn>>,
    heard: Arc<Mutex<Vec<HttpEvent>>>,
    /// How many answers of writes are lost on their way.
    lost: Arc<Mutex<u32>>,
}

impl Transport for World {
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
        let headers = request.headers().iter();
        let headers: BTreeMap<String, String> = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let uri = request.uri();
        assert_eq!(
            uri.host(),
            Some("api.github.example"),
            "a token went elsewhere"
        );
        let call = Call {
            method: request.method().as_str(),
            target: uri.path_and_query().unwrap().as_str(),
            headers: &headers,
            body: request.body(),
        };
        let answer = self.github.lock().unwrap().answer(&call);
        let mut lost = self.lost.lock().unwrap();
        if *lost > 0 && (call.method == "PATCH" || call.target.ends_with("/comments")) {
            *lost -= 1;
            let error = TransportError::Lost("connection reset".to_owned());
            return Box::pin(async move { Err(error) });
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        let response = response.body(Bytes::from(answer.body)).unwrap();
        Box::pin(async move { Ok(response) })
    }
}

impl World {
    fn with(prepare: impl FnOnce(&mut StandIn)) -> Self {
        let world = Self::default();
        prepare(&mut world.github.lock().unwrap());
        world
    }

    async fn write(&self, token: &str, number: u64, body: &str) -> Result<Sticky, ProviderError> {
        let heard = Arc::clone(&self.heard);
        let github = GitHub::new(GitHubConfig {
            api_url: "https://api.github.example/".to_owned(),
            graphql_url: None,
            token: Secret::new(token),
            transport: Arc::new(self.clone()),
            now: Arc::new(|| Timestamp::from_seconds(1_700_000_000)),
            on_event: Some(Arc::new(move |event| heard.lock().unwrap().push(event))),
        })?;
        let thread = Thread {
            owner: "acme".to_owned(),
            name: "infra".to_owned(),
            number,
        };
        github.sticky(&thread, MARKER, body).await
    }

    async fn done(&self, speaker: Speaker) -> Sticky {
        self.write(speaker.token, 7, BODY).await.unwrap()
    }

    async fn refused(&self, token: &str, number: u64, body: &str) -> ProviderError {
        let error = self.write(token, number, body).await.unwrap_err();
        assert!(!format!("{error:?}").contains(WORKFLOW.token), "{error:?}");
        error
    }

    fn bodies_of(&self, author: u64) -> Vec<String> {
        let github = self.github.lock().unwrap();
        let own = github.comments.iter().filter(|one| one.author.id == author);
        own.map(|one| one.body.clone()).collect()
    }

    fn writes(&self) -> Vec<String> {
        let github = self.github.lock().unwrap();
        let writes = |call: &&String| !call.starts_with("GET") && !call.ends_with("graphql");
        github.calls.iter().filter(writes).cloned().collect()
    }
}

fn once(method: &'static str, status: u16, done: bool) -> Fault {
    Fault {
        method,
        status,
        headers: &[],
        message: "oops",
        done,
    }
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_made_then_written_anew_then_left() {
    let world = World::with(|github| github.chat(3));
    assert_eq!(world.done(WORKFLOW).await.action, Action::Created);
    assert_eq!(world.done(WORKFLOW).await.action, Action::Unchanged);
    let longer = format!("{BODY}more\n");
    let written = world.write(WORKFLOW.token, 7, &longer).await.unwrap();
    assert_eq!(written.action, Action::Updated);
    assert!(
        written.url.ends_with("#issuecomment-1003"),
        "{}",
        written.url
    );
    assert_eq!(world.bodies_of(WORKFLOW.id), [longer]);
    assert_eq!(world.writes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_on_the_third_page_is_found_and_who_we_are_is_asked_only_then() {
    let world = World::with(|github| {
        github.chat(220);
        github.say(WORKFLOW, "<!-- kplan:plan:demo -->\r\nold");
        github.say(WORKFLOW, "<!-- kplan:plan:demo:other -->\nanother key");
        github.say(WORKFLOW, "see <!-- kplan:plan:demo -->");
    });
    assert_eq!(world.done(WORKFLOW).await.action, Action::Updated);
    assert_eq!(
        world.writes(),
        ["PATCH /repos/acme/infra/issues/comments/1220"]
    );
    let reads = world.github.lock().unwrap().calls.clone();
    assert_eq!(
        reads.iter().filter(|call| call.starts_with("GET")).count(),
        3
    );

    let empty = World::default();
    empty.done(WORKFLOW).await;
    let calls = empty.github.lock().unwrap().calls.clone();
    assert!(
        !calls.iter().any(|call| call.contains("graphql")),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_comment_of_somebody_else_with_the_marker_is_left_and_told() {
    let world = World::with(|github| {
        github.say(
            MALLORY,
            "<!-- kplan:plan:demo -->\n## kplan: demo: no changes",
        );
    });
    let made = world.done(WORKFLOW).await;
    assert_eq!(made.action, Action::Created);
    let mallorys = Other {
        login: Some("mallory".to_owned()),
        url: "https://github.com/acme/infra/pull/7#issuecomment-1000".to_owned(),
        own: false,
    };
    assert_eq!(made.others, [mallorys]);
    // And from then on ours is the one.
    assert_eq!(world.done(WORKFLOW).await.action, Action::Unchanged);
    assert_eq!(world.bodies_of(WORKFLOW.id), [BODY]);
    // A person's token has its own.
    assert_eq!(world.done(MALLORY).await.action, Action::Updated);
    assert_eq!(world.bodies_of(WORKFLOW.id), [BODY]);
}

#[tokio::test(start_paused = true)]
async fn whose_token_it_is_is_never_guessed() {
    let world = World::with(|github| {
        github.silent = true;
        github.say(WORKFLOW, "<!-- kplan:plan:demo -->\nold");
    });
    let error = world.refused(WORKFLOW.token, 7, BODY).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(
        error.message.contains("does not say whose token"),
        "{error}"
    );
    assert_eq!(world.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_own_comment_is_told() {
    let world = World::with(|github| {
        github.say(WORKFLOW, BODY);
        github.say(WORKFLOW, BODY);
    });
    let left = world.done(WORKFLOW).await;
    assert_eq!(left.action, Action::Unchanged);
    assert!(left.others[0].own, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn what_github_refuses_is_told_with_what_to_do() {
    let world = World::default();
    let long = format!("{MARKER}\n{}", "ä".repeat(65_536));
    let table = [
        (
            "ghp_wrong",
            7,
            BODY,
            ErrorKind::Denied,
            "wrong, expired or revoked",
        ),
        (
            FORK.token,
            7,
            BODY,
            ErrorKind::Denied,
            "pull-requests: write",
        ),
        (
            WORKFLOW.token,
            8,
            BODY,
            ErrorKind::NotFound,
            "may the token read it",
        ),
        (WORKFLOW.token, 7, &long, ErrorKind::Invalid, "--max-bytes"),
        (
            WORKFLOW.token,
            7,
            "  ",
            ErrorKind::Invalid,
            "nothing was changed",
        ),
        ("with\nbreak", 7, BODY, ErrorKind::Denied, "a line break"),
    ];
    for (token, number, body, kind, help) in table {
        let error = world.refused(token, number, body).await;
        assert_eq!(error.kind, kind, "{error}");
        let told = error.help.unwrap_or_default();
        assert!(told.contains(help), "no `{help}`: {told}");
    }
    world.github.lock().unwrap().locked = true;
    let error = world.refused(WORKFLOW.token, 7, BODY).await;
    assert!(error.help.unwrap().contains("unlock it"));
    assert!(world.github.lock().unwrap().comments.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_write_makes_no_second_comment() {
    let world = World::with(|github| {
        github.chat(150);
        github.faults.push_back(once("POST", 502, true));
    });
    assert_eq!(world.done(WORKFLOW).await.action, Action::Created);
    assert_eq!(world.bodies_of(WORKFLOW.id), [BODY]);
    assert_eq!(world.writes().len(), 1);
    let heard = world.heard.lock().unwrap().clone();
    let why = heard.iter().any(
        |event| matches!(event, HttpEvent::Retrying { what, .. } if what == "writing the comment"),
    );
    assert!(why, "{heard:?}");

    let world = World::with(|github| {
        github.say(WORKFLOW, "<!-- kplan:plan:demo -->\nold");
        github.faults.push_back(once("PATCH", 500, true));
    });
    assert_eq!(world.done(WORKFLOW).await.action, Action::Updated);
    assert_eq!(world.writes().len(), 1);

    // No answer at all.
    let world = World::default();
    *world.lost.lock().unwrap() = 1;
    assert_eq!(world.done(WORKFLOW).await.action, Action::Created);
    assert_eq!(world.bodies_of(WORKFLOW.id), [BODY]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_made_is_made_again_and_not_for_ever() {
    let world = World::with(|github| github.faults.push_back(once("POST", 503, false)));
    assert_eq!(world.done(WORKFLOW).await.action, Action::Created);
    assert_eq!(world.bodies_of(WORKFLOW.id), [BODY]);
    assert_eq!(world.writes().len(), 2);

    let world = World::with(|github| github.faults.extend([once("POST", 503, false); 9]));
    let error = world.refused(WORKFLOW.token, 7, BODY).await;
    assert_eq!(error.kind, ErrorKind::OutcomeUnknown);
    assert!(error.help.unwrap().contains("never writes a second one"));
    assert_eq!(world.writes().len(), 3);

    let world = World::with(|github| github.faults.extend([once("GET", 502, false); 9]));
    let error = world.refused(WORKFLOW.token, 7, BODY).await;
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(world.github.lock().unwrap().calls.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_meanwhile_is_made_anew() {
    let world = World::with(|github| {
        github.say(WORKFLOW, "<!-- kplan:plan:demo -->\nold");
        github.faults.push_back(once("PATCH", 404, false));
    });
    world.github.lock().unwrap().faults[0].message = "Not Found";
    assert_eq!(world.done(WORKFLOW).await.action, Action::Updated);
    assert_eq!(world.writes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_waited_for_as_long_as_it_says_and_no_longer_than_is_told() {
    let limited = |headers| Fault {
        headers,
        message: "You have exceeded a secondary rate limit.",
        ..once("POST", 403, false)
    };
    let world = World::with(|github| {
        github.faults.push_back(limited(&[("retry-after", "17")]));
        github.faults.push_back(limited(&[]));
    });
    let began = tokio::time::Instant::now();
    assert_eq!(world.done(WORKFLOW).await.action, Action::Created);
    assert_eq!(began.elapsed().as_secs(), 17 + 60);
    assert_eq!(world.bodies_of(WORKFLOW.id), [BODY]);
    let wait = Duration::from_secs(17);
    let refused = true;
    let heard = world.heard.lock().unwrap().clone();
    assert_eq!(heard[0], HttpEvent::Limited { wait, refused });

    let spent: &[_] = &[
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1700003000"),
    ];
    let world = World::with(|github| github.faults.push_back(limited(spent)));
    let error = world.refused(WORKFLOW.token, 7, BODY).await;
    assert_eq!(
        (error.kind, error.retry_after),
        (ErrorKind::Throttled, Some(3001))
    );
    assert!(world.bodies_of(WORKFLOW.id).is_empty());
}
