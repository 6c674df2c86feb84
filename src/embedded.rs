//! The embedded cloud of a folder: one process per folder, started detached when it is not
//! there, so that the cluster outlives the command and a killed kplan does not kill its cloud.

use crate::error::{Failure, Problem};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a detached sandbox lives without a request.
const IDLE_EXIT: &str = "10m";
/// How long it may take to start; opening a large world from disk takes the most.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Largest answer of a control endpoint.
const MAX_ANSWER: u64 = 256 << 20;

/// Where the embedded cloud listens, as it wrote it into its folder.
#[derive(Clone, Debug, Deserialize)]
pub struct Endpoints {
    /// DigitalOcean's API.
    pub api_url: String,
    /// Spaces.
    pub spaces_url: String,
    /// The CONNECT proxy to the Kubernetes API servers.
    pub proxy_url: String,
    /// The artifact mirror.
    pub mirror_url: String,
    /// The token its API asks for.
    pub token: String,
    /// By how much its waits are divided.
    #[serde(default)]
    pub time_scale: Option<f64>,
}

/// `endpoint.json`.
#[derive(Deserialize)]
struct Note {
    endpoints: Endpoints,
}

impl Endpoints {
    /// How many times faster than the real cloud its clock runs, at least 1.
    pub fn scale(&self) -> u32 {
        let scale = self.time_scale.unwrap_or(60.0).clamp(1.0, 1_000_000.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 1 to 1,000,000 the line before"
        )]
        let whole = scale as u32;
        whole
    }
}

/// The folder of the embedded cloud that belongs to the file's folder.
pub fn folder(beside: &Path) -> PathBuf {
    beside.join(".kplan").join(".sandbox").join("cloud")
}

/// Where the state lies while the embedded cloud is used; never the real cluster's.
pub fn state_root(beside: &Path) -> PathBuf {
    beside.join(".kplan").join(".sandbox").join("state")
}

/// The running sandbox of that folder; `None` when there is none.
pub async fn running(beside: &Path) -> Option<Endpoints> {
    let text = std::fs::read_to_string(folder(beside).join("endpoint.json")).ok()?;
    let Note { endpoints } = serde_json::from_str(&text).ok()?;
    let health = call(&endpoints, "GET", "/_sandbox/health").await.ok()?;
    (health.status == 200).then_some(endpoints)
}

/// The running sandbox, started where it is not there yet. The second value says whether it was
/// started by this call.
pub async fn ensure(beside: &Path) -> Result<(Endpoints, bool), Failure> {
    if let Some(endpoints) = running(beside).await {
        return Ok((endpoints, false));
    }
    let cloud = folder(beside);
    std::fs::create_dir_all(&cloud).map_err(|error| not_started(&cloud, &error.to_string()))?;
    spawn(beside, &cloud)?;
    // The wait is for a process of this machine to bind its ports: short looks, bounded.
    let started = tokio::time::Instant::now();
    while started.elapsed() < START_LIMIT {
        if let Some(endpoints) = running(beside).await {
            return Ok((endpoints, true));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let log = std::fs::read_to_string(cloud.join("log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(5).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(not_started(
        &cloud,
        &format!(
            "it did not answer within 20 s; its log ends: {}",
            tail.join(" / ")
        ),
    ))
}

/// Waits until the sandbox of that folder has ended and removed its note; false when it goes on.
pub async fn ended(beside: &Path) -> bool {
    let note = folder(beside).join("endpoint.json");
    for _ in 0..1000 {
        if !note.exists() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

fn not_started(cloud: &Path, why: &str) -> Failure {
    let message = format!(
        "the embedded cloud in {} did not start: {why}",
        cloud.display()
    );
    Problem::error("sandbox::not_started", message)
        .help(
            "run `kplan sandbox` in the foreground to see why, or remove that folder to begin anew",
        )
        .into()
}

fn spawn(beside: &Path, cloud: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| not_started(cloud, &error.to_string());
    let program = std::env::current_exe().map_err(fail)?;
    let log = std::fs::File::create(cloud.join("log")).map_err(fail)?;
    let errors = log.try_clone().map_err(fail)?;
    let mut command = Command::new(program);
    command
        .arg("--chdir")
        .arg(beside)
        .args(["sandbox", "--idle-exit", IDLE_EXIT]);
    for (flag, variable) in [
        ("--time-scale", "KPLAN_SANDBOX_TIME_SCALE"),
        ("--seed", "KPLAN_SANDBOX_SEED"),
        ("--record", "KPLAN_SANDBOX_RECORD"),
        ("--log", "KPLAN_SANDBOX_LOG"),
    ] {
        if let Some(value) = std::env::var_os(variable) {
            command.arg(flag).arg(value);
        }
    }
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    detach(&mut command);
    command.spawn().map_err(fail).map(drop)
}

/// An own process group: Ctrl-C in the terminal interrupts kplan, not its cloud.
#[cfg(unix)]
fn detach(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
fn detach(_command: &mut Command) {}

/// An answer of a control endpoint.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// Calls a control endpoint.
pub async fn call(endpoints: &Endpoints, method: &str, path: &str) -> std::io::Result<Answer> {
    request(&endpoints.api_url, method, path, &endpoints.token, "").await
}

/// The same with a JSON body.
pub async fn send(endpoints: &Endpoints, path: &str, body: &str) -> std::io::Result<Answer> {
    request(&endpoints.api_url, "POST", path, &endpoints.token, body).await
}

/// A request that the embedded cloud did not answer.
pub fn unreachable(error: std::io::Error) -> Failure {
    Problem::error("sandbox::unreachable", error.to_string()).into()
}

/// The list of artifacts that the embedded cloud's mirror serves, as JSON.
pub async fn version_set(mirror_url: &str) -> Result<String, Failure> {
    let answer = request(mirror_url, "GET", "/version-set.json", "", "")
        .await
        .map_err(unreachable)?;
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let message = format!("the embedded cloud's mirror answered {}", answer.status);
    Err(Problem::error("sandbox::answer", message).into())
}

/// One request to loopback. HTTP/1.0, so that the answer ends with the connection.
async fn request(
    base: &str,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> std::io::Result<Answer> {
    let host = base
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or("");
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "not an HTTP answer");
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).map_err(|_| invalid())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(invalid)?;
    Ok(Answer {
        status,
        body: body.to_owned(),
    })
}
