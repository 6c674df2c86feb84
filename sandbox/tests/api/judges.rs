//! Outside judges with programs of their own: `doctl`, Terraform and S3 clients drive a served
//! sandbox, and what it told them is held against DigitalOcean's document.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use crate::client::config;
use crate::coverage;
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
    judge: Option<&str>,
    interpreter: &'static str,
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
    let mut command = Command::new(interpreter);
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
    let lines = || BufReader::new(File::open(&record).unwrap());
    let mut report = document.check_lines(lines()).unwrap();
    assert!(report.exchanges >= least, "{}", report.exchanges);
    forgive(&mut report);
    assert!(report.violations.is_empty(), "{report}");
    if let Some(judge) = judge {
        coverage::judged(judge, &document, lines());
    }
}

/// Leaves what breaks the document. A script may ask for nonsense, which the sandbox then has to
/// refuse; what it carries out must be what the document knows, or stand among the exceptions with
/// the reason why.
fn forgive(report: &mut Report) {
    let broken = |violation: &Violation| match violation.location {
        Location::Query | Location::Request | Location::Path => violation.status < 400,
        Location::Status | Location::Response => true,
    };
    report.violations.retain(|violation, _| broken(violation));
    Exceptions::bundled().unwrap().apply(report);
    Exceptions::of_clients().unwrap().apply(report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctl_is_not_surprised() {
    if let Some(program) = missing(&["bash", "doctl", "jq", "openssl", "ssh-keygen"]) {
        println!("not run: {program} is not on the path");
        return;
    }
    run(
        Some("doctl"),
        "bash",
        "../tests/doctl/session.sh",
        400,
        |endpoints| {
            vec![
                ("DIGITALOCEAN_API_URL", endpoints.api_url.clone()),
                ("DIGITALOCEAN_ACCESS_TOKEN", endpoints.token.clone()),
            ]
        },
    )
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
    run(
        Some("terraform"),
        "bash",
        "../tests/terraform/session.sh",
        400,
        |endpoints| {
            vec![
                ("DIGITALOCEAN_API_URL", endpoints.api_url.clone()),
                ("DIGITALOCEAN_TOKEN", endpoints.token.clone()),
                ("SPACES_ENDPOINT_URL", endpoints.spaces_url.clone()),
            ]
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_clients_are_not_surprised() {
    if let Some(program) = missing(&["bash", "aws", "s3cmd", "curl", "jq"]) {
        kplan_conformance::skipped(program);
        return;
    }
    run(None, "bash", "tests/s3/session.sh", 2, spaces).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_is_not_surprised() {
    let found = Command::new("python3")
        .args(["-c", "import boto3"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        kplan_conformance::skipped("python3 with boto3");
        return;
    }
    run(None, "python3", "tests/s3/boto.py", 2, spaces).await;
}

/// What a script about buckets wants to know.
fn spaces(endpoints: &Endpoints) -> Vec<(&'static str, String)> {
    vec![
        ("DIGITALOCEAN_API_URL", endpoints.api_url.clone()),
        ("DIGITALOCEAN_ACCESS_TOKEN", endpoints.token.clone()),
        ("SPACES_ENDPOINT_URL", endpoints.spaces_url.clone()),
    ]
}

#[test]
fn only_what_was_asked_in_vain_is_forgiven() {
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
        (Location::Request, 422),
        (Location::Request, 200),
        (Location::Path, 501),
        (Location::Path, 200),
        (Location::Response, 422),
    ] {
        report.violations.insert(violation(location, status), 1);
    }
    forgive(&mut report);
    let left: Vec<(Location, u16)> = report
        .violations
        .keys()
        .map(|violation| (violation.location, violation.status))
        .collect();
    let expected = [
        (Location::Path, 200),
        (Location::Request, 200),
        (Location::Response, 422),
    ];
    assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), expected.into());
}
