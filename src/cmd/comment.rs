//! `kplan comment`: the plan in a file as the one comment of a pull request on GitHub.

use crate::cli::{CommentArgs, Global};
use crate::cmd::saved;
use crate::error::{CommandResult, Failure, Problem, code_of};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::render::waits::Waits;
use crate::render::{Terminal, markdown};
use kplan_model::{ProviderError, Secret};
use kplan_providers::github::{Action, GitHub, GitHubConfig, Other, Sticky, Thread};
use kplan_providers::http::{Reqwest, system_clock};
use serde_json::json;
use std::sync::Arc;

/// GitHub's own address.
const API_URL: &str = "https://api.github.com";
/// The longest name of a cluster or key in a marker.
const LONGEST_NAME: usize = 100;
/// What a marker and its line end take at most.
pub const LONGEST_MARKER: usize = 2 * LONGEST_NAME + 32;

/// Runs it.
pub async fn run(global: &Global, args: &CommentArgs, terminal: &mut Terminal) -> CommandResult {
    let sealed = saved::checked(global, &args.plan)?;
    let marker = marker(&sealed.plan.pins.cluster, args.key.as_deref())?;
    let most = args.max_bytes.unwrap_or(markdown::MOST);
    let room = most.saturating_sub(marker.len() + 1);
    let body = format!("{marker}\n{}", sealed.plan.shown.markdown(room));
    let repo = args.repo.clone().or_else(|| set("GITHUB_REPOSITORY"));
    let number = args.pr.or_else(pull_request_of_the_workflow);
    if args.dry_run {
        tell_dry(global, &body, (repo.as_deref(), number, &marker), terminal);
        return Ok(Exit::Ok);
    }
    let thread = thread(repo, number)?;
    let waits = Waits::of("GitHub");
    let github = client(&waits)?;
    let interrupts = Interrupts::listen();
    let writing = async {
        let written = github.sticky(&thread, &marker, &body).await;
        written.map_err(refused)
    };
    let interrupted =
        "interrupted; the comment may have been written, and the next run looks first";
    let sticky = interrupts.until(interrupted, writing).await?;
    tell(global, &sticky, terminal);
    Ok(Exit::Ok)
}

/// The first line of the comment, by which it is found. It is an HTML comment, so nothing that
/// could end one may be in it: the cluster's name comes from a file.
fn marker(cluster: &str, key: Option<&str>) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named = |name: &str| (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(plain);
    if !named(cluster) {
        let message = "the plan file names a cluster by what is no name of a cluster";
        return Err(Problem::error("planfile::unreadable", message)
            .help("make the plan anew with `kplan plan --out FILE`")
            .into());
    }
    match key {
        None => Ok(format!("<!-- kplan:plan:{cluster} -->")),
        Some(key) if named(key) => Ok(format!("<!-- kplan:plan:{cluster}:{key} -->")),
        Some(_) => Err(Problem::error(
            "cli::key",
            format!(
                "--key has to be one to {LONGEST_NAME} letters, digits, `-`, `_` or `.`: it becomes \
                 part of the comment's first line"
            ),
        )
        .help("such as --key staging")
        .into()),
    }
}

/// What an environment variable says, where it says something.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// `refs/pull/N/merge`, as workflows of pull requests have it.
fn pull_request_of_the_workflow() -> Option<u64> {
    number_of(&set("GITHUB_REF")?)
}

fn number_of(reference: &str) -> Option<u64> {
    let (number, _) = reference.strip_prefix("refs/pull/")?.split_once('/')?;
    number.parse().ok()
}

/// The pull request that is meant.
fn thread(repo: Option<String>, number: Option<u64>) -> Result<Thread, Failure> {
    let repo = repo.ok_or_else(|| {
        Problem::error("cli::repo", "nobody says which repository is meant")
            .help("--repo OWNER/NAME; in a workflow GITHUB_REPOSITORY says it")
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named =
        |name: &&str| !name.is_empty() && ![".", ".."].contains(name) && name.chars().all(plain);
    let halves = repo.split_once('/');
    let Some((owner, name)) = halves.filter(|(owner, name)| named(owner) && named(name)) else {
        let message = format!("`{repo}` is not a repository's OWNER/NAME");
        return Err(Problem::error("cli::repo", message)
            .help("such as --repo acme/infra, without https:// and without .git")
            .into());
    };
    let number = number.filter(|number| *number > 0).ok_or_else(|| {
        Problem::error("cli::pr", "nobody says which pull request is meant").help(
            "--pr N; a workflow of a pull request says it in GITHUB_REF, others do not: there, \
             `--pr ${{ github.event.pull_request.number }}`",
        )
    })?;
    Ok(Thread {
        owner: owner.to_owned(),
        name: name.to_owned(),
        number,
    })
}

fn client(waits: &Waits) -> Result<GitHub, Failure> {
    let token = set("GITHUB_TOKEN").or_else(|| set("GH_TOKEN"));
    let token = token.ok_or_else(|| {
        Problem::error(
            "github::no_token",
            "neither GITHUB_TOKEN nor GH_TOKEN is set, so nothing at GitHub can be written",
        )
        .help(
            "in a workflow pass `GITHUB_TOKEN: ${{ github.token }}` in the step's `env`; --dry-run \
             needs none",
        )
    })?;
    let told = waits.clone();
    let config = GitHubConfig {
        api_url: set("GITHUB_API_URL").unwrap_or_else(|| API_URL.to_owned()),
        graphql_url: set("GITHUB_GRAPHQL_URL"),
        token: Secret::new(token),
        transport: Arc::new(Reqwest::new()?),
        now: system_clock(),
        on_event: Some(Arc::new(move |event| told.hear(&event))),
    };
    GitHub::new(config).map_err(refused)
}

fn refused(error: ProviderError) -> Failure {
    let code = format!("github::{}", code_of(error.kind));
    let mut problem = Problem::error(code, error.to_string());
    problem.help = error.help;
    problem.into()
}

fn tell(global: &Global, sticky: &Sticky, terminal: &mut Terminal) {
    for other in &sticky.others {
        terminal.note(&format!("Note: {}", sentence(other)));
    }
    let (word, said) = match sticky.action {
        Action::Created => ("created", "Created the comment"),
        Action::Updated => ("updated", "Updated the comment"),
        Action::Unchanged => ("unchanged", "The comment says it already"),
    };
    if global.json {
        let document = json!({
            "format_version": "1.0", "action": word, "url": sticky.url,
        });
        terminal.line(&document.to_string());
    } else {
        terminal.line(&format!("{said}: {}", sticky.url));
    }
}

fn sentence(other: &Other) -> String {
    if other.own {
        return format!(
            "{} is a second comment about this plan, which is not kept up to date: delete it",
            other.url
        );
    }
    let who = other.login.as_deref().unwrap_or("an account that is gone");
    format!(
        "{} begins as kplan's comments do and is by {who}, not by this token's user: it was left as \
         it is, and what it says is not a plan of kplan's here",
        other.url
    )
}

fn tell_dry(
    global: &Global,
    body: &str,
    (repo, number, marker): (Option<&str>, Option<u64>, &str),
    terminal: &mut Terminal,
) {
    if global.json {
        let document = json!({
            "format_version": "1.0", "action": "dry_run", "repo": repo, "pr": number, "body": body,
        });
        terminal.line(&document.to_string());
        return;
    }
    terminal.out(body);
    let number = number.map(|number| format!("#{number}"));
    terminal.note(&format!(
        "Dry run: nothing was sent. Without --dry-run the comment of {}{} that begins with `{marker}` \
         would be made to say this ({} bytes), or, where there is none by the token's user, one would \
         be created.",
        repo.unwrap_or("a repository that --repo names"),
        number.as_deref().unwrap_or(", a pull request that --pr names,"),
        body.len()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_cannot_be_ended_by_a_name() {
        let good = |cluster, key| marker(cluster, key).unwrap();
        assert_eq!(good("demo", None), "<!-- kplan:plan:demo -->");
        assert_eq!(good("demo", Some("eu.1")), "<!-- kplan:plan:demo:eu.1 -->");
        let longest = "a".repeat(100);
        assert!(good(&longest, Some(&longest)).len() < LONGEST_MARKER);
        let long = "a".repeat(101);
        for bad in ["", "a b", "a-->", "a\n", "a:b", "ä", &long] {
            assert!(marker(bad, None).is_err(), "{bad}");
            assert!(marker("demo", Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pull_request_is_known_from_the_workflows_reference() {
        assert_eq!(number_of("refs/pull/12/merge"), Some(12));
        assert_eq!(number_of("refs/pull/12/head"), Some(12));
        for other in ["refs/heads/main", "refs/pull/x/merge", "refs/pull/12", ""] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_repository_is_owner_and_name() {
        let of = |repo: &str, pr| thread(Some(repo.to_owned()), pr);
        assert_eq!(of("acme/infra.live", Some(7)).unwrap().name, "infra.live");
        for bad in [
            "acme",
            "/infra",
            "acme/",
            "acme/..",
            "acme/in/fra",
            "acme/in?fra",
            "https://x/y",
            "",
        ] {
            assert!(of(bad, Some(7)).is_err(), "{bad}");
        }
        assert!(of("acme/infra", Some(0)).is_err());
        assert!(of("acme/infra", None).is_err());
        assert!(thread(None, Some(7)).is_err());
    }
}
