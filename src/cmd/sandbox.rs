//! `kplan sandbox`: serves the embedded cloud of this folder, or looks into it.

use crate::cli::{Global, LogFormat, SandboxArgs, SandboxCommand};
use crate::embedded;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::render::Terminal;
use kplan_sandbox::log::Entry;
use kplan_sandbox::{FaultRule, RequestLog};
use kplan_state::LocalReader;
use std::path::Path;

/// Log lines that may wait to be written.
const LOG_LINES: usize = 4096;

/// Runs it.
pub async fn run(global: &Global, args: &SandboxArgs, terminal: &mut Terminal) -> CommandResult {
    let beside = global.file.parent().filter(|p| !p.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    match &args.command {
        None => serve(beside, args, terminal).await,
        Some(SandboxCommand::Inspect) => inspect(beside, global, terminal).await,
        Some(SandboxCommand::Stop) => stop(beside, terminal).await,
        Some(SandboxCommand::Token { scope }) => token(beside, global, scope, terminal).await,
    }
}

async fn serve(beside: &Path, args: &SandboxArgs, terminal: &mut Terminal) -> CommandResult {
    let dir = embedded::folder(beside);
    std::fs::create_dir_all(&dir).map_err(|error| {
        Problem::error(
            "sandbox::folder",
            format!("cannot make {}: {error}", dir.display()),
        )
    })?;
    let idle = crate::duration::parse("--idle-exit", &args.idle_exit)?;
    let (log, mut entries) = RequestLog::bounded(LOG_LINES);
    let config = kplan_sandbox::Config {
        log: args.log.is_some().then_some(log),
        faults: faults(&args.fault)?,
        dir: Some(dir),
        api_port: args.port,
        time_scale: args.time_scale,
        seed: args.seed,
        record: args.record.clone(),
        idle_exit: (!idle.is_zero()).then_some(idle),
        ..kplan_sandbox::Config::default()
    };
    let running = kplan_sandbox::start(config).await.map_err(|error| {
        Failure::from(Problem::error("sandbox::not_started", error.to_string()))
    })?;
    let endpoints = running.endpoints();
    terminal.line(&format!("DIGITALOCEAN_API_URL={}", endpoints.api_url));
    terminal.line(&format!("DIGITALOCEAN_TOKEN={}", endpoints.token));
    terminal.line(&format!("SPACES_ENDPOINT_URL={}", endpoints.spaces_url));
    terminal.line(&format!(
        "HTTPS_PROXY={}   # for kubectl",
        endpoints.proxy_url
    ));
    terminal.line(&format!("# artifact mirror: {}", endpoints.mirror_url));
    let mut stopped = std::pin::pin!(running.stopped());
    let mut asked = std::pin::pin!(asked_to_end());
    loop {
        tokio::select! {
            biased;
            ended = &mut stopped => {
                while let Ok(entry) = entries.try_recv() {
                    logged(terminal, args.log, &entry);
                }
                ended.map_err(|error| {
                    Failure::from(Problem::error("sandbox::stopped", error.to_string()))
                })?;
                return Ok(Exit::Ok);
            }
            () = &mut asked => return Ok(Exit::Ok),
            Some(entry) = entries.recv() => logged(terminal, args.log, &entry),
        }
    }
}

/// A line of the request log, on standard error: standard output says where the sandbox listens.
fn logged(terminal: &mut Terminal, format: Option<LogFormat>, entry: &Entry) {
    match format {
        Some(LogFormat::Json) => {
            terminal.note(&serde_json::to_string(entry).unwrap_or_default());
        }
        Some(LogFormat::Text) => terminal.note(&entry.to_string()),
        None => {}
    }
}

/// Prints a token that may do less than the account's own.
async fn token(
    beside: &Path,
    global: &Global,
    scopes: &[String],
    terminal: &mut Terminal,
) -> CommandResult {
    let endpoints = reached(beside, terminal).await?;
    let body = serde_json::json!({ "scopes": scopes }).to_string();
    let answer = embedded::send(&endpoints, "/_sandbox/tokens", &body)
        .await
        .map_err(embedded::unreachable)?;
    let mut document: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if answer.status != 201 {
        let why = document["message"].as_str().unwrap_or("no reason given");
        return Err(Problem::error("sandbox::token", why.to_owned()).into());
    }
    if global.json {
        document["format_version"] = kplan_sandbox::FORMAT_VERSION.into();
        terminal.line(&document.to_string());
    } else {
        terminal.line(document["token"].as_str().unwrap_or_default());
    }
    Ok(Exit::Ok)
}

fn faults(rules: &[String]) -> Result<Vec<FaultRule>, Failure> {
    let mut problems = Vec::new();
    let mut faults = Vec::new();
    for rule in rules {
        match rule.parse() {
            Ok(rule) => faults.push(rule),
            Err(error) => problems.push(
                Problem::error("cli::fault", format!("--fault: {error}"))
                    .help("docs/guide/sandbox.md lists the kinds and their settings"),
            ),
        }
    }
    if problems.is_empty() {
        Ok(faults)
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

/// SIGINT, SIGTERM and SIGHUP alike: what exists is on disk before it is answered, so ending needs
/// no more than leaving.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let streams = (
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
        );
        if let (Ok(mut terminate), Ok(mut hangup)) = streams {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

/// The sandbox of this folder, started (and said so) where it is not running.
async fn reached(beside: &Path, terminal: &mut Terminal) -> Result<embedded::Endpoints, Failure> {
    let (endpoints, started) = embedded::ensure(beside).await?;
    if started {
        terminal.note(
            "Started the embedded cloud of this folder (it ends after ten idle minutes; `kplan \
             sandbox stop` ends it now).",
        );
    }
    Ok(endpoints)
}

/// The sandbox is started where it is not running: what exists in it is on disk.
async fn inspect(beside: &Path, global: &Global, terminal: &mut Terminal) -> CommandResult {
    let endpoints = reached(beside, terminal).await?;
    let path = format!("/_sandbox/inspect?keep={}", kept(beside).join(","));
    let answer = embedded::call(&endpoints, "GET", &path)
        .await
        .map_err(embedded::unreachable)?;
    let document: serde_json::Value = serde_json::from_str(&answer.body).map_err(|error| {
        Failure::from(Problem::error(
            "sandbox::answer",
            format!("unreadable answer: {error}"),
        ))
    })?;
    if global.json {
        terminal.line(&document.to_string());
    } else {
        terminal.line(&format!("{document:#}"));
    }
    Ok(Exit::Ok)
}

/// What the states of this folder's embedded cloud keep by design, as `kind:name`. The cloud
/// itself cannot know what its customers mean to outlive a destroy.
fn kept(beside: &Path) -> Vec<String> {
    let Ok(clusters) = std::fs::read_dir(embedded::state_root(beside)) else {
        return Vec::new();
    };
    let mut kept = Vec::new();
    for entry in clusters.flatten() {
        let cluster = entry.file_name().to_string_lossy().into_owned();
        let read = LocalReader::open(&entry.path(), &cluster, None).read();
        let snapshot = read.ok().and_then(|loaded| loaded.snapshot);
        for record in snapshot
            .iter()
            .flat_map(|snapshot| snapshot.resources.values())
        {
            let name = record
                .attrs
                .get("name")
                .and_then(kplan_model::Value::as_str);
            if let (true, Some(name)) = (record.meta.keep, name) {
                kept.push(format!("{}:{name}", record.address.kind()));
            }
        }
    }
    kept.sort();
    kept
}

async fn stop(beside: &Path, terminal: &mut Terminal) -> CommandResult {
    match embedded::running(beside).await {
        None => terminal.note("No embedded cloud is running in this folder."),
        Some(endpoints) => {
            // The process ends while it answers; a connection that breaks is the success.
            drop(embedded::call(&endpoints, "POST", "/_sandbox/shutdown").await);
            if !embedded::ended(beside).await {
                let problem = Problem::error(
                    "sandbox::still_running",
                    "the embedded cloud was asked to stop and still answers after ten seconds",
                );
                return Err(problem
                    .help("end its process by hand: endpoint.json names it")
                    .into());
            }
            terminal.note("The embedded cloud has stopped; what exists in it stays on disk.");
        }
    }
    Ok(Exit::Ok)
}
