//! `kplan lock`: fetches what the file uses once and records the digests of what was not pinned.

use crate::addons;
use crate::artifacts::{self, Artifacts, lock_path};
use crate::cli::Global;
use crate::cmd::managed;
use crate::error::{CommandResult, Problem};
use crate::exit::Exit;
use crate::load;
use crate::render::Terminal;
use crate::whole::{self, Readers};
use kplan_providers::artifacts::{ArtifactSource as _, Lock};
use serde_json::json;

/// Runs it. The embedded cloud's own version set needs no lock, so `--sandbox` changes nothing.
pub async fn run(global: &Global, terminal: &mut Terminal) -> CommandResult {
    let loaded = load::file(&global.file)?;
    if let Some(nothing) = managed::nothing_to_do(&loaded) {
        return Err(nothing);
    }
    let path = lock_path(&loaded.folder);
    let mut lock: Lock = artifacts::read_lock(&path)?;
    let fetcher = artifacts::fetcher(&loaded, None)?;
    let own = addons::found(&loaded, &lock, &fetcher).await?;
    let set = Artifacts::locked(lock.clone())?.with_addons(own);
    for artifact in set.used(&loaded.spec) {
        let digest = fetcher.digest(&artifact).await?;
        lock.record(&artifact, digest);
    }
    addons::note_repositories(&loaded, &set, &mut lock);
    let own = addons::found(&loaded, &lock, &fetcher).await?;
    // Checked now, and in the cache for the applies to come.
    for artifact in Artifacts::locked(lock.clone())?
        .with_addons(own)
        .manifests(&loaded.spec)
    {
        fetcher.bytes(&artifact).await?;
    }
    let text = lock.render()?;
    whole::write(&path, text.as_bytes(), Readers::Anybody).map_err(|error| {
        let message = format!("cannot write {}: {error}", path.display());
        Problem::error("lock::unwritable", message)
    })?;
    let count = lock.iter().count();
    if global.json {
        let document = json!({ "format_version": "1.0", "path": path, "artifacts": count });
        terminal.line(&document.to_string());
    } else {
        terminal.line(&format!("{}: {count} artifacts", path.display()));
    }
    Ok(Exit::Ok)
}
