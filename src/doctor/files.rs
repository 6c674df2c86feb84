//! The file, and the artifacts it rests on.

use super::{Examination, Verdict};

/// What `kplan validate` warns of.
pub(super) async fn file(at: &Examination) -> Verdict {
    let loaded = &at.session.loaded;
    if let Some(problem) = &at.renamed {
        return Verdict::problem(problem.message.clone())
            .help(problem.help.clone().unwrap_or_default());
    }
    if loaded.warnings.is_empty() {
        return Verdict::ok(format!("{} is valid, without a warning", loaded.file));
    }
    let texts: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .collect();
    Verdict::warning(format!("{}: {}", loaded.file, texts.join("; ")))
        .help("`kplan validate` says why each matters and what to do")
}

/// What is installed without a digest that was decided on.
pub(super) async fn artifacts(at: &Examination) -> Verdict {
    if let Some(problem) = &at.no_artifacts {
        return Verdict::problem(format!(
            "the artifacts of this file cannot be found out: {}",
            problem.message
        ))
        .help(
            problem
                .help
                .clone()
                .unwrap_or_else(|| "see `kplan lock`".to_owned()),
        );
    }
    let artifacts = &at.session.adapters.artifacts;
    let used = artifacts.used(&at.session.loaded.spec);
    let unpinned: Vec<String> = used
        .iter()
        .filter(|artifact| artifact.sha256.is_none())
        .map(kplan_providers::artifacts::ArtifactRef::path)
        .collect();
    if unpinned.is_empty() {
        let (all, set) = (used.len(), artifacts.name());
        return Verdict::ok(format!(
            "all {all} artifacts are pinned (version set {set})"
        ));
    }
    Verdict::warning(format!("unpinned: {}", unpinned.join(", ")))
        .details(serde_json::json!({ "unpinned": unpinned }))
        .help(
            "whoever serves them decides what is installed. `kplan lock` records their digests in \
             kplan.lock; commit it",
        )
}
