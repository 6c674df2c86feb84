//! Outside judges with programs of their own: `doctl`, Terraform and S3 clients drive a served
//! sandbox, and what it told them is held against DigitalOcean's document.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use crate::client::config;
use kplan_conformance::{Exceptions, Location, Report, Violation, required_document};
use kplan_sandbox::{Config, Endpoints, start};

/// Slow enough for "under way" to be seen, fast enough to wait for.
const SCALE: f64 = 120.0;

/// Whether a program can be started.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The first of these programs that is not on the path.
fn missing(programs: &[&'static str]) -> Option<&'static str> {
    programs.iter().find(|program| !has(program)).copied()
}

/// Serves a sandbox while a script of `tests/` runs against it; what it recorded, judged.
async fn run(
    script: &str,
    least: usize,
    variables: impl Fn(&Endpoints) -> Vec<(&'static str, String)>,
) {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("exchanges.jsonl");
    let running = start(Config {
        dir: Some(dir.path().join("cloud")),
        time_scale: SCALE,
        token: String::new(),
        record: Some(record.clone()),
        ..config()
    })
    .await
    .unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut command = Command::new("bash");
    command.arg(path).envs(variables(running.endpoints()));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let Some(document) = required_document().unwrap() else {
        return;
    };
    let lines = BufReader::new(File::open(record).unwrap());
    let mut report = document.check_lines(lines).unwrap();
    assert!(report.exchanges >= least, "{}", report.exchanges);
    judge(&mut report);
    assert!(report.violations.is_empty(), "{report}");
}

/// Leaves what the sandbox may not say. What other people's clients ask is theirs: DigitalOcean's
/// own send what its document does not know, and so do tests that ask for nonsense. But where
/// there is no such endpoint, nothing may be answered as if there were.
fn judge(report: &mut Report) {
    let answered = |violation: &Violation| match violation.location {
        Location::Query | Location::Request => false,
        Location::Path => violation.status < 400,
        Location::Status | Location::Response => true,
    };
    report.violations.retain(|violation, _| answered(violation));
    Exceptions::bundled().unwrap().apply(report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctl_is_not_surprised() {
    if let Some(program) = missing(&["bash", "doctl", "jq", "openssl", "ssh-keygen"]) {
        println!("not run: {program} is not on the path");
        return;
    }
    run("../tests/doctl/session.sh", 500, |endpoints| {
        vec![
            ("DIGITALOCEAN_API_URL", endpoints.api_url.clone()),
            ("DIGITALOCEAN_ACCESS_TOKEN", endpoints.token.clone()),
        ]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terraform_has_nothing_to_change_twice() {
    let programs = ["bash", "curl", "jq", "openssl", "ssh-keygen", "terraform"];
    if let Some(program) = missing(&programs) {
        println!("not run: {program} is not on the path");
        return;
    }
    // Without such a file Terraform would download the provider.
    let settings = std::env::var_os("TF_CLI_CONFIG_FILE").filter(|file| Path::new(file).is_file());
    if settings.is_none() {
        println!("not run: TF_CLI_CONFIG_FILE does not say where DigitalOcean's provider is");
        return;
    }
    run("../tests/terraform/session.sh", 500, |endpoints| {
        vec![
            ("DIGITALOCEAN_API_URL", endpoints.api_url.clone()),
            ("DIGITALOCEAN_TOKEN", endpoints.token.clone()),
            ("SPACES_ENDPOINT_URL", endpoints.spaces_url.clone()),
        ]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_clients_are_not_surprised() {
    if let Some(program) = missing(&["bash", "aws", "s3cmd", "curl", "jq"]) {
        println!("not run: {program} is not on the path");
        return;
    }
    run("tests/s3/session.sh", 2, |endpoints| {
        vec![
            ("DIGITALOCEAN_API_URL", endpoints.api_url.clone()),
            ("DIGITALOCEAN_ACCESS_TOKEN", endpoints.token.clone()),
            ("SPACES_ENDPOINT_URL", endpoints.spaces_url.clone()),
        ]
    })
    .await;
}

#[test]
fn only_what_was_asked_is_forgiven() {
    let violation = |location, status| Violation {
        method: "GET".to_owned(),
        path_template: "/v2/x".to_owned(),
        status,
        location,
        pointer: String::new(),
        message: String::new(),
    };
    let mut report = Report::default();
    for (location, status) in [
        (Location::Request, 200),
        (Location::Path, 501),
        (Location::Path, 200),
        (Location::Response, 422),
    ] {
        report.violations.insert(violation(location, status), 1);
    }
    judge(&mut report);
    let left: Vec<(Location, u16)> = report
        .violations
        .keys()
        .map(|violation| (violation.location, violation.status))
        .collect();
    assert_eq!(left, [(Location::Path, 200), (Location::Response, 422)]);
}
