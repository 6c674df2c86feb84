//! `kplan backup list|verify`: the backups and snapshots of etcd in the bucket, as they are there.

use crate::backup::verify::{Verified, verify};
use crate::backup::{self, Backup, snapshots};
use crate::cli::{BackupCommand, Global};
use crate::cmd::session::{Session, planning_policy};
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::{Interrupts, blocking};
use crate::kit;
use crate::load;
use crate::render::Terminal;
use kplan_model::ProviderError;
use kplan_providers::spaces::SharedObjects;
use serde_json::json;
use std::sync::Arc;

/// Runs it.
pub async fn run(
    global: &Global,
    command: &BackupCommand,
    terminal: &mut Terminal,
) -> CommandResult {
    let interrupts = Interrupts::listen();
    let looking = async {
        let session = Session::open(global, terminal).await?;
        let objects = Arc::new(open(&session, terminal)?);
        match command {
            BackupCommand::List => {
                let cluster = session.place.cluster.clone();
                list(objects, cluster, global, terminal).await
            }
            BackupCommand::Verify { name } => check(objects, name.clone(), global, terminal).await,
        }
    };
    Box::pin(interrupts.unless(looking)).await
}

/// The backup bucket, from Velero's prefix on.
fn open(session: &Session, terminal: &mut Terminal) -> Result<SharedObjects, Failure> {
    let snapshot = session.recorded(terminal)?;
    let secrets = load::secrets(&session.loaded, planning_policy(false))?;
    let place = backup::place(&session.loaded, &session.cloud, &secrets, Some(&snapshot))?;
    Ok(kit::objects_at(&place, None)?)
}

async fn list(
    objects: Arc<SharedObjects>,
    cluster: String,
    global: &Global,
    terminal: &mut Terminal,
) -> CommandResult {
    let looking = move || {
        Ok((
            backup::all(&*objects)?,
            snapshots::all(&*objects, &cluster)?,
        ))
    };
    let found: Result<_, ProviderError> = blocking(looking).await?;
    let (all, snapshots) = found?;
    if global.json {
        let backups: Vec<_> = all.iter().map(document).collect();
        let snapshots: Vec<_> = snapshots
            .iter()
            .map(|one| json!({ "name": one.name, "taken": one.taken() }))
            .collect();
        let document = json!({
            "format_version": "1.0", "backups": backups, "snapshots": snapshots,
        });
        terminal.line(&document.to_string());
        return Ok(Exit::Ok);
    }
    if all.is_empty() {
        terminal.line("There is no backup in the bucket yet.");
    }
    let width = all.iter().map(|one| one.name.len()).max().unwrap_or(0);
    for one in &all {
        terminal.line(&format!(
            "{:width$}  {}  {}, {} objects{}",
            one.name,
            one.started,
            one.phase,
            one.items,
            if one.errors > 0 {
                format!(", {} errors", one.errors)
            } else {
                String::new()
            },
        ));
    }
    if !snapshots.is_empty() {
        terminal.line("\nSnapshots of etcd (`kplan restore --snapshot NAME`):");
    }
    let width = snapshots
        .iter()
        .map(|one| one.name.len())
        .max()
        .unwrap_or(0);
    for one in &snapshots {
        terminal.line(&format!("{:width$}  {}", one.name, one.taken()));
    }
    Ok(Exit::Ok)
}

fn document(backup: &Backup) -> serde_json::Value {
    json!({
        "name": backup.name,
        "phase": backup.phase,
        "started": backup.started,
        "expires": backup.expires,
        "items": backup.items,
        "errors": backup.errors,
    })
}

async fn check(
    objects: Arc<SharedObjects>,
    name: Option<String>,
    global: &Global,
    terminal: &mut Terminal,
) -> CommandResult {
    let looking = move || {
        let name = match name {
            Some(name) => Some(name),
            None => backup::all(&*objects)?.pop().map(|newest| newest.name),
        };
        let found = name.map(|name| verify(&*objects, &name).map(|found| (name, found)));
        found.transpose()
    };
    let Some((name, found)) = blocking(looking).await?? else {
        let problem = Problem::error("backup::empty", "there is no backup in the bucket yet");
        return Err(problem.help("Velero makes one by its next schedule").into());
    };
    if global.json {
        let document = json!({
            "format_version": "1.0",
            "name": name,
            "objects": found.objects,
            "kinds": found.kinds,
            "volumes": found.volumes,
            "problems": found.problems,
        });
        terminal.line(&document.to_string());
    } else {
        tell(&name, &found, terminal);
    }
    Ok(if found.problems.is_empty() {
        Exit::Ok
    } else {
        Exit::Error
    })
}

fn tell(name: &str, found: &Verified, terminal: &mut Terminal) {
    for problem in &found.problems {
        terminal.line(&format!("{name}: {problem}"));
    }
    if found.problems.is_empty() {
        terminal.line(&format!(
            "{name} is whole: {} objects of {} kinds, {} volumes.",
            found.objects,
            found.kinds.len(),
            found.volumes
        ));
    }
}
