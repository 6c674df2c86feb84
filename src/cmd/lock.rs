//! `kplan lock`: fetches what the file uses once and records the digests of what was not pinned.

use crate::artifacts::{self, Artifacts, lock_path};
use crate::cli::Global;
use crate::error::{CommandResult, Problem};
use crate::exit::Exit;
use crate::load;
use crate::render::Terminal;
use kplan_providers::artifacts::{ArtifactSource as _, Lock};

/// Runs it. The embedded cloud's own version set needs no lock, so `--sandbox` changes nothing.
pub async fn run(global: &Global, terminal: &mut Terminal) -> CommandResult {
    let loaded = load::file(&global.file)?;
    let path = lock_path(&loaded.folder);
    let mut lock: Lock = artifacts::read_lock(&path)?;
    let fetcher = artifacts::fetcher(&loaded, false)?;
    let set = Artifacts::locked(lock.clone())?;
    for artifact in set.used(&loaded.spec) {
        let digest = fetcher.digest(&artifact).await?;
        lock.record(&artifact, digest);
    }
    let text = lock.render()?;
    let fresh = path.with_extension("lock.tmp");
    std::fs::write(&fresh, &text)
        .and_then(|()| std::fs::rename(&fresh, &path))
        .map_err(|error| {
            Problem::error(
                "lock::unwritable",
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
    terminal.line(&format!(
        "{}: {} artifacts",
        path.display(),
        lock.iter().count()
    ));
    Ok(Exit::Ok)
}
