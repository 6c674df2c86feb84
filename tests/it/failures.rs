//! What a failed command prints, word for word: `tests/it/failures.txt`. `UPDATE_GOLDEN=1`
//! rewrites it; read the difference before keeping it.

use crate::support::{Folder, Run, SMALL, repository};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::Output;

/// A folder whose cloud runs.
fn folder() -> Folder {
    let folder = Folder::with(SMALL);
    folder.kplan(&["sandbox", "inspect", "--json"]).ok();
    folder
}

fn faulty(rule: Value) -> Folder {
    let folder = folder();
    let rules = json!({ "rules": [rule] });
    folder.cloud("POST", "/_sandbox/faults", Some(&rules));
    folder
}

/// The cloud's address as the folder's own cloud, for a token of ours.
fn with_token(folder: &Folder, url: &str, token: &str) -> Run {
    let output = folder
        .command(&["plan"])
        .env("COLUMNS", "400")
        .env("DIGITALOCEAN_API_URL", url)
        .env("DIGITALOCEAN_TOKEN", token)
        .output();
    run(output.expect("kplan runs"))
}

fn run(output: Output) -> Run {
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("UTF-8 output"),
        err: String::from_utf8(output.stderr).expect("UTF-8 output"),
    }
}

/// The problems with their remedies, without what differs from run to run: ids of requests,
/// seconds and ports.
fn problems(run: &Run) -> String {
    let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    let digit = |c: char| c.is_ascii_digit();
    let text = without(&run.err, "request ", hex, 36);
    let text = without(&text, " times over ", digit, 1);
    let text = without(&text, "/v2/firewalls/", hex, 36);
    let from = text.find("cloud::").unwrap_or(0);
    text[from..].trim().to_owned()
}

/// Every run of at least so many of those characters that follows `mark` makes way for `…`.
fn without(text: &str, mark: &str, of: impl Fn(char) -> bool, least: usize) -> String {
    let mut parts = text.split(mark);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(mark);
        let rest = part.trim_start_matches(&of);
        if part.len() - rest.len() < least {
            clean.push_str(part);
        } else {
            clean.push('…');
            clean.push_str(rest);
        }
    }
    clean
}

fn apply(folder: &Folder) -> Run {
    // What DigitalOcean says itself, where preflight would say it before.
    let past = ["--skip-preflight", "size"];
    let arguments = ["apply", "--sandbox", "--auto-approve"];
    let mut command = folder.command(&[&arguments[..], &past].concat());
    command.env("COLUMNS", "400");
    Run::of(command)
}

/// Connections that break off before an answer is there.
fn lost(add: &mut impl FnMut(&str, &Run)) {
    let rule = |method: &str, path: &str, how: &str| {
        let fault = json!({ "kind": how });
        json!({ "method": method, "path": path, "fault": fault })
    };
    add(
        "every answer to a list is lost",
        &apply(&faulty(rule("GET", "/v2/*", "lost_response"))),
    );
    add(
        "the connection breaks off at every create of a droplet",
        &apply(&faulty(rule("POST", "/v2/droplets", "reset"))),
    );
    let edited = folder();
    edited.apply();
    let ssh = "[network]\nssh_allow = [\"192.0.2.0/24\"]";
    edited.write(&format!("{SMALL}\n{ssh}\n"));
    let rules = json!({ "rules": [rule("PUT", "/v2/firewalls/*", "lost_response")] });
    edited.cloud("POST", "/_sandbox/faults", Some(&rules));
    add(
        "every answer to a change of the firewall is lost",
        &apply(&edited),
    );
}

#[test]
fn failures_say_what_was_asked_what_came_of_it_and_what_to_do() {
    let mut page = String::new();
    let mut add = |what: &str, run: &Run| {
        assert_ne!(run.code, Some(0), "{what} was no failure:\n{}", run.out);
        let code = run
            .code
            .map_or("a signal".to_owned(), |code| code.to_string());
        writeln!(page, "== {what} (exit {code})\n\n{}\n", problems(run)).expect("text");
    };

    let wrong = folder();
    add(
        "401: a wrong token",
        &with_token(&wrong, &wrong.endpoint("api_url"), "dop_v1_wrong"),
    );
    let body = json!({ "scopes": ["droplet:read"] });
    let made = wrong.cloud("POST", "/_sandbox/tokens", Some(&body));
    let token = made
        .split("\"token\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    add(
        "403: a scope is missing",
        &with_token(&wrong, &wrong.endpoint("api_url"), token.expect("a token")),
    );
    add(
        "no connection",
        &with_token(&wrong, "http://127.0.0.1:9", "dop_v1_any"),
    );

    let unknown = folder();
    unknown.write(&SMALL.replace("s-2vcpu-4gb", "s-3vcpu-5gb"));
    add("422: no such size", &apply(&unknown));

    let status = |method: &str, path: &str, status: u16| {
        faulty(json!({
            "method": method, "path": path, "fault": { "kind": "status", "status": status },
        }))
    };
    add(
        "500 on every create of a droplet",
        &apply(&status("POST", "/v2/droplets", 500)),
    );
    add("503 on every list", &apply(&status("GET", "/v2/*", 503)));

    lost(&mut add);

    let path = repository().join("tests/it/failures.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).expect("write the page");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "tests/it/failures.txt is out of date; UPDATE_GOLDEN=1 rewrites it. Now:\n{page}"
    );
}
