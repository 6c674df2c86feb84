//! `kplan comment` against a stand-in that refuses what GitHub refuses. How failures and limits are
//! lived through is tested with paused time in `providers/tests/github`.

use crate::github::{FORK, Fault, MALLORY, WORKFLOW};
use crate::support::hub::Hub;
use crate::support::{Folder, GITHUB_TOKEN, Run, SMALL};

const PLAN: &str = "p.plan";
const MARKER: &str = "<!-- kplan:plan:demo -->";

/// A folder with a saved plan, and GitHub.
struct Review {
    folder: Folder,
    hub: Hub,
}

impl Review {
    fn new() -> Self {
        assert_eq!(GITHUB_TOKEN, WORKFLOW.token);
        let folder = Folder::with(SMALL);
        folder.kplan(&["plan", "--sandbox", "--out", PLAN]).ok();
        Self {
            folder,
            hub: Hub::new(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.with(&[], arguments)
    }

    fn with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
        let all = [&["comment", PLAN, "--sandbox"], arguments].concat();
        let mut command = self.hub.of(self.folder.command(&all));
        command.envs(environment.iter().copied());
        Run::of(command)
    }

    fn comment(&self) -> Run {
        self.run(&["--repo", "acme/infra", "--pr", "7"])
    }

    #[track_caller]
    fn refused(&self, environment: &[(&str, &str)], arguments: &[&str], words: &[&str]) {
        let run = self.with(environment, arguments).expect_code(1);
        let said = run.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word), "no `{word}`:\n{}", run.err);
        }
        assert!(!run.err.contains(GITHUB_TOKEN), "{}", run.err);
        assert_eq!(run.out, "");
    }

    fn own(&self) -> Vec<String> {
        let github = self.hub.github();
        let own = github.comments.iter();
        let own = own.filter(|comment| comment.author.id == WORKFLOW.id);
        own.map(|comment| comment.body.clone()).collect()
    }
}

#[test]
fn the_plan_is_one_comment_that_is_written_anew() {
    let review = Review::new();
    review.hub.github().chat(210);
    review.hub.github().say(MALLORY, MARKER);
    let made = review.comment().ok();
    made.assert_says(&["Created the comment: https://github.com/acme/infra/pull/7#"]);
    assert!(
        made.err.contains("by mallory, not by this token's user"),
        "{}",
        made.err
    );
    let own = review.own();
    let plan = review
        .folder
        .kplan(&["show", PLAN, "--sandbox", "--format", "markdown"])
        .ok();
    assert_eq!(own, [format!("{MARKER}\n{}", plan.out)]);
    assert!(own[0].contains("## kplan: demo"), "{own:?}");

    // A workflow says which pull request it is about.
    let workflow = [
        ("GITHUB_REPOSITORY", "acme/infra"),
        ("GITHUB_REF", "refs/pull/7/merge"),
    ];
    let left = review.with(&workflow, &["--json"]).ok().json();
    assert_eq!(left["action"], "unchanged");
    assert_eq!(left["format_version"], "1.0");

    review
        .folder
        .write(&SMALL.replace("2vcpu", "4vcpu").replace("4gb", "8gb"));
    review
        .folder
        .kplan(&["plan", "--sandbox", "--out", PLAN])
        .ok();
    let anew = review.with(&workflow, &["--json"]).ok().json();
    assert_eq!(anew["action"], "updated");
    let url = anew["url"].as_str().unwrap();
    assert!(url.ends_with("#issuecomment-1211"), "{url}");
    assert!(review.own()[0].contains("s-4vcpu-8gb"));
    assert_eq!(review.own().len(), 1);
    // Another key is another comment.
    review.with(&workflow, &["--key", "eu"]).ok();
    assert_eq!(review.own().len(), 2);
    assert_eq!(review.hub.github().comments[210].body, MARKER);
}

#[test]
fn a_dry_run_needs_no_token_and_calls_nobody() {
    let review = Review::new();
    let plan = ["comment", PLAN, "--sandbox", "--dry-run"];
    let mut command = review.hub.of(review.folder.command(&plan));
    command.env_remove("GITHUB_TOKEN");
    let dry = Run::of(command).ok();
    assert!(
        dry.out.starts_with(&format!("{MARKER}\n## kplan: demo")),
        "{}",
        dry.out
    );
    assert!(dry.err.contains("nothing was sent"), "{}", dry.err);
    let short = review
        .run(&[
            "--dry-run",
            "--max-bytes",
            "2280",
            "--json",
            "--pr",
            "7",
            "--key",
            "eu.1",
        ])
        .ok()
        .json();
    let body = short["body"].as_str().unwrap();
    assert!(
        body.starts_with("<!-- kplan:plan:demo:eu.1 -->\n"),
        "{body}"
    );
    assert!(body.len() <= 2280, "{}", body.len());
    assert_eq!(
        (&short["action"], &short["pr"]),
        (&"dry_run".into(), &7.into())
    );
    assert!(review.hub.github().calls.is_empty());
    let less = review
        .run(&["--dry-run", "--max-bytes", "2279"])
        .expect_code(1);
    assert!(less.err.contains("from 2280 to 65536"), "{}", less.err);
}

#[test]
fn what_is_refused_is_said_with_what_to_do() {
    let review = Review::new();
    let here = ["--repo", "acme/infra", "--pr", "7"];
    let token = |token| [("GITHUB_TOKEN", token)];
    review.refused(
        &token(""),
        &here,
        &["github::no_token", "github.token", "--dry-run"],
    );
    review.refused(
        &token("ghp_wrong"),
        &here,
        &["github::denied", "status 401", "Bad credentials"],
    );
    review.refused(
        &token(FORK.token),
        &here,
        &["github::denied", "requests: write", "fork"],
    );
    review.refused(
        &[],
        &["--repo", "acme/infra", "--pr", "8"],
        &["github::not_found", "private"],
    );
    review.refused(&[], &here[..2], &["cli::pr", "--pr N"]);
    review.refused(&[], &here[2..], &["cli::repo", "--repo OWNER/NAME"]);
    review.refused(
        &[],
        &["--repo", "https://x", "--pr", "7"],
        &["cli::repo", "acme/infra"],
    );
    review.refused(
        &[],
        &[&here[..], &["--key", "a-->"]].concat(),
        &["cli::key"],
    );
    let plain = [("GITHUB_API_URL", "http://git.acme.example/api/v3")];
    review.refused(
        &plain,
        &here,
        &["github::invalid", "plain text", "https://"],
    );
    let silent = [("GITHUB_API_URL", "http://127.0.0.1:1")];
    review.refused(&silent, &here, &["github::transient", "GITHUB_API_URL"]);
    let redirect = Fault {
        method: "GET",
        status: 301,
        headers: &[("location", "http://127.0.0.1:1/")],
        message: "Moved Permanently",
        done: false,
    };
    review.hub.github().faults.push_back(redirect);
    review.refused(&[], &here, &["github::invalid", "moved or renamed"]);
    assert!(review.hub.github().comments.is_empty());
    // A file that is none.
    std::fs::write(review.folder.path().join(PLAN), "hello").unwrap();
    review.refused(&[], &here, &["planfile::not_one"]);
}

#[test]
fn a_limit_is_waited_for_and_a_lost_answer_makes_no_second_comment() {
    let review = Review::new();
    let limited = Fault {
        method: "POST",
        status: 403,
        headers: &[("retry-after", "2")],
        message: "You have exceeded a secondary rate limit.",
        done: false,
    };
    let lost = Fault {
        status: 502,
        headers: &[],
        message: "Server Error",
        done: true,
        ..limited
    };
    review.hub.github().faults.extend([limited, lost]);
    let made = review.comment().ok();
    made.assert_says(&["Created the comment"]);
    assert!(
        made.err.contains("waiting 2 s for the GitHub rate limit"),
        "{}",
        made.err
    );
    assert_eq!(review.own().len(), 1);
}
