//! `kplan kubeconfig`: a kubeconfig whose certificate is minted now and short-lived.

use crate::cli::{Global, KubeconfigArgs};
use crate::cmd::managed;
use crate::cmd::state::view;
use crate::embedded;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::load;
use crate::render::Terminal;
use crate::whole::{self, Readers};
use crate::wire::{StatePlace, SystemClock, no_identity};
use kplan_engine::clock::Clock as _;
use kplan_model::{Codec as _, Secret, Snapshot};
use kplan_providers::k3s::{Access, Kubeconfig, kubeconfig};
use serde_json::json;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs it. Needs the identity: the key that signs certificates is in the state, encrypted.
pub async fn run(global: &Global, args: &KubeconfigArgs, terminal: &mut Terminal) -> CommandResult {
    let valid = validity(&args.valid)?;
    let snapshot = view(global, terminal)?.snapshot;
    let access = access(&snapshot).map_err(|none| no_cluster(global, &snapshot, none))?;
    let identified = load::identify(&global.file)?;
    let (place, embedded) = StatePlace::to_read(global, &identified)?;
    let proxy = if embedded {
        Some(embedded::ensure(&identified.folder).await?.0.proxy_url)
    } else {
        None
    };
    let text = kubeconfig(
        &access,
        Kubeconfig {
            name: &place.cluster,
            user: &args.user,
            proxy_url: proxy.as_deref(),
            now: SystemClock.now(),
            valid,
        },
    )?;
    let path = args.path.then(|| write(&place.dir, &text)).transpose()?;
    match path {
        Some(path) if global.json => {
            let document = json!({ "format_version": "1.0", "path": path });
            terminal.line(&document.to_string());
        }
        Some(path) => terminal.line(&path.display().to_string()),
        None if global.json => {
            let kubeconfig = text.expose().unwrap_or_default();
            let document = json!({ "format_version": "1.0", "kubeconfig": kubeconfig });
            terminal.line(&document.to_string());
        }
        None => terminal.out(text.expose().unwrap_or_default()),
    }
    Ok(Exit::Ok)
}

/// A certificate cannot be taken back: it is short-lived, or it is not minted.
const VALIDITY: RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(7 * 24);

fn validity(text: &str) -> Result<Duration, Failure> {
    let valid = crate::duration::parse("--valid", text)?;
    if VALIDITY.contains(&valid) {
        return Ok(valid);
    }
    let message = format!("--valid {text} is not between one minute and seven days");
    Err(Problem::error("cli::validity", message)
        .help("nobody can take a certificate back before it ends; mint a new one when it did")
        .into())
}

/// Where no cluster is on record: whether there will be one. A file that cannot be read says nothing
/// of that.
fn no_cluster(global: &Global, snapshot: &Snapshot, none: Failure) -> Failure {
    if snapshot
        .resources
        .contains_key(&crate::compose::k3s::cluster())
    {
        return none;
    }
    let loaded = load::file(&global.file).ok();
    loaded
        .and_then(|loaded| managed::nothing_to_do(&loaded))
        .unwrap_or(none)
}

/// How people reach the cluster on record: where the API has a name, by that.
fn access(snapshot: &Snapshot) -> Result<Access, Failure> {
    let none = || {
        Problem::error(
            "kubeconfig::no_cluster",
            "there is no cluster on record yet",
        )
        .help("run `kplan apply` first, or again if it did not finish")
    };
    let record = snapshot
        .resources
        .get(&crate::compose::k3s::cluster())
        .ok_or_else(none)?;
    let value = record.attrs.get("access").ok_or_else(none)?;
    let unreadable = |error| {
        Problem::error(
            "kubeconfig::no_access",
            format!("the record of the cluster: {error}"),
        )
    };
    let mut access = Access::decode(value).map_err(unreadable)?;
    if let Some(server) = record.attrs.get("server") {
        access.server = String::decode(server).map_err(unreadable)?;
    }
    if access.client_ca_key.expose().is_none() {
        return Err(no_identity().into());
    }
    Ok(access)
}

/// Writes the file for its owner alone, whole or not at all.
fn write(dir: &Path, text: &Secret) -> Result<PathBuf, Failure> {
    let path = dir.join("kubeconfig");
    // The state may be in a bucket, and this folder not be there yet.
    let text = text.expose().unwrap_or_default();
    whole::write(&path, text.as_bytes(), Readers::Owner).map_err(|error| {
        Problem::error(
            "kubeconfig::unwritable",
            format!("cannot write {}: {error}", path.display()),
        )
    })?;
    std::path::absolute(&path)
        .map_err(|error| Problem::error("kubeconfig::unwritable", error.to_string()).into())
}
