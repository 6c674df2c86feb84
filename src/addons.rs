//! `[[addon]]`: what the file's own add-ons are made of, by the lock, by the index of a chart
//! repository, and by the files beside `cluster.toml`.

use crate::artifacts::Artifacts;
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::load::Loaded;
use kplan_model::ProviderError;
use kplan_providers::artifacts::{ArtifactRef, Fetcher, Lock};
use kplan_providers::kubernetes::manifest;
use kplan_schema::Spanned;
use kplan_schema::spec::{Addon, AddonSource, Chart};
use kplan_schema::value::Sha256;
use std::collections::BTreeMap;

/// What an add-on is made of.
#[derive(Clone, Debug, Default)]
pub struct AddonParts {
    /// The manifest or the chart's archive, where it is behind an address.
    pub artifact: Option<ArtifactRef>,
    /// The manifest, or the values of the chart, where they are beside the file.
    pub text: Option<String>,
}

/// The version of what has none.
const NO_VERSION: &str = "manifest";

/// Every add-on of the file, by name. Digests are the file's or the lock's; where neither has one it
/// is unpinned.
pub async fn found(
    loaded: &Loaded,
    lock: &Lock,
    fetcher: &Fetcher,
) -> Result<BTreeMap<String, AddonParts>, Failure> {
    let (mut all, mut problems) = (BTreeMap::new(), Vec::new());
    for addon in &loaded.spec.own_addons {
        match parts(addon, loaded, lock, fetcher).await {
            Ok(parts) => drop(all.insert(addon.name.to_string(), parts)),
            Err(error) => problems.push(told(loaded, addon, error)),
        }
    }
    if problems.is_empty() {
        Ok(all)
    } else {
        Err(Failure::all(Exit::Error, problems))
    }
}

fn told(loaded: &Loaded, addon: &Addon, error: ProviderError) -> Problem {
    let mut problem = Problem::error(
        "addon::not_found",
        format!("{}: {}", addon.name, error.message),
    );
    problem.help = error.help;
    match addon.span {
        Some(span) => problem.at(&loaded.source, (span.start, span.end), "this add-on"),
        None => problem,
    }
}

async fn parts(
    addon: &Addon,
    loaded: &Loaded,
    lock: &Lock,
    fetcher: &Fetcher,
) -> Result<AddonParts, ProviderError> {
    let beside = |file: &str| loaded.beside.get(file).cloned();
    match &addon.source {
        AddonSource::File(file) => {
            let text = beside(file.as_str());
            if let Some(text) = &text {
                no_secrets(file.as_str(), text)?;
            }
            Ok(AddonParts {
                artifact: None,
                text,
            })
        }
        AddonSource::Manifest { url, sha256 } => {
            let mut artifact = unpinned(addon, NO_VERSION, url.file_name());
            url.as_str().clone_into(&mut artifact.url);
            pin(&mut artifact, sha256.as_ref(), lock, None)?;
            Ok(AddonParts {
                artifact: Some(artifact),
                text: None,
            })
        }
        AddonSource::Helm {
            chart,
            sha256,
            values,
        } => Ok(AddonParts {
            artifact: Some(archive(addon, chart, sha256.as_ref(), lock, fetcher).await?),
            text: values.as_ref().and_then(|file| beside(file.as_str())),
        }),
    }
}

/// A manifest beside the file is in Git, in plans and in kits: no place for a Secret.
fn no_secrets(name: &str, text: &str) -> Result<(), ProviderError> {
    let objects = manifest::parse(name, text.as_bytes())?;
    let is_filled = |object: &serde_json::Value| {
        object["apiVersion"] == "v1"
            && object["kind"] == "Secret"
            && (object["data"].is_object() || object["stringData"].is_object())
    };
    let Some(secret) = objects.iter().find(|object| is_filled(object)) else {
        return Ok(());
    };
    let message = format!("{name} holds the Secret {}", secret["metadata"]["name"]);
    Err(
        ProviderError::new(kplan_model::ErrorKind::Invalid, message).help(
            "whatever is in it is in Git and in every plan: make another one, and seal it \
         (docs/guide/add-ons.md, Sealed Secrets)",
        ),
    )
}

async fn archive(
    addon: &Addon,
    chart: &Chart,
    sha256: Option<&Spanned<Sha256>>,
    lock: &Lock,
    fetcher: &Fetcher,
) -> Result<ArtifactRef, ProviderError> {
    match chart {
        Chart::Archive(url) => {
            let mut artifact = unpinned(addon, "chart", url.file_name());
            url.as_str().clone_into(&mut artifact.url);
            pin(&mut artifact, sha256, lock, None)?;
            Ok(artifact)
        }
        Chart::Repository {
            repo,
            name,
            version,
        } => {
            let file = format!("{name}-{version}.tgz");
            let mut artifact = unpinned(addon, version.as_str(), &file);
            pin(&mut artifact, sha256, lock, Some(repo.as_str()))?;
            if artifact.url.is_empty() {
                let (repo, name) = (repo.as_str(), name.as_str());
                artifact.url = fetcher.chart_archive(repo, name, version.as_str()).await?;
            }
            Ok(artifact)
        }
    }
}

fn unpinned(addon: &Addon, version: &str, file: &str) -> ArtifactRef {
    ArtifactRef {
        component: format!("addon-{}", addon.name),
        version: version.to_owned(),
        file: file.to_owned(),
        url: String::new(),
        sha256: None,
    }
}

/// Gives an artifact its digest. What the lock has of another address, or of another repository, says
/// nothing about this one; of a chart of the same repository, it says the address, too.
fn pin(
    artifact: &mut ArtifactRef,
    written: Option<&Spanned<Sha256>>,
    lock: &Lock,
    repo: Option<&str>,
) -> Result<(), ProviderError> {
    let locked = lock.get(&artifact.component, &artifact.version, &artifact.file);
    let locked = locked.filter(|locked| match repo {
        Some(_) => locked.repo.as_deref() == repo,
        None => locked.url == artifact.url,
    });
    artifact.sha256 = written.map(|digest| digest.as_str().to_owned());
    let Some(locked) = locked else {
        return Ok(());
    };
    // What came from a mirror has no address of its own on record.
    if !locked.url.is_empty() {
        locked.url.clone_into(&mut artifact.url);
    }
    let same = |written: &String| *written == locked.sha256;
    if artifact.sha256.as_ref().is_none_or(same) {
        artifact.sha256 = Some(locked.sha256.clone());
        return Ok(());
    }
    let message = format!("kplan.lock and the file disagree about {}", artifact.path());
    Err(ProviderError::new(kplan_model::ErrorKind::Invalid, message)
        .help("one of the two digests was changed: find out which before applying anything"))
}

/// Notes in the lock from which repositories charts came, so that the next run asks no index.
pub fn note_repositories(loaded: &Loaded, set: &Artifacts, lock: &mut Lock) {
    for addon in &loaded.spec.own_addons {
        if let AddonSource::Helm {
            chart: Chart::Repository { repo, .. },
            ..
        } = &addon.source
            && let Some(artifact) = set.addon(addon.name.as_str()).artifact
        {
            lock.came_from(&artifact, repo.as_str());
        }
    }
}
