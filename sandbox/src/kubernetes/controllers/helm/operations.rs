//! What `helm install`, `helm upgrade` and `helm uninstall` do.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::archive::{Chart, Templates};
use super::client::{Client, place};
use super::objects::{self, Item, Owner};
use super::release::{self, Content, Release};
use crate::kubernetes::apiserver::CRDS;
use crate::kubernetes::object;

/// How long `--wait` waits. Source: Helm's default of `--timeout`.
pub(super) const WAIT: Duration = Duration::from_mins(5);

/// Names of files that are listed at most; a termination message has little room.
const NAMED: usize = 10;

/// Flags of a command.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) create_namespace: bool,
    pub(super) take_ownership: bool,
}

/// A chart with the values it is installed with.
pub(super) struct Package {
    pub(super) chart: Chart,
    pub(super) values: Value,
}

/// How far a command is.
pub(super) enum Progress {
    Waits,
    /// Done; and what the sandbox left out.
    Done(Vec<String>),
}

/// What is made of a chart.
struct Rendered {
    items: Vec<Item>,
    manifest: String,
    notes: Vec<String>,
}

/// `helm install`.
///
/// # Errors
/// In Helm's words. What was made of the release stays.
pub(super) fn install(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    package: &Package,
    flags: Flags,
) -> Result<Progress, String> {
    let failed = |why: String| format!("INSTALLATION FAILED: {why}");
    if !define(client, &package.chart).map_err(failed)? {
        return Ok(Progress::Waits);
    }
    let rendered = render(client, &package.chart).map_err(failed)?;
    claim(client, owner, &rendered.items, flags)
        .map_err(|why| failed(format!("Unable to continue with install: {why}")))?;
    if flags.create_namespace {
        make_namespace(client, owner).map_err(failed)?;
    }
    let release = begin(client, owner, package, &rendered, "pending-install").map_err(failed)?;
    let done = apply(client, owner, &rendered.items);
    end(client, owner, &release, done, "Install complete").map_err(failed)?;
    Ok(Progress::Done(rendered.notes))
}

/// `helm upgrade` of what is deployed; `latest` where nothing is.
///
/// # Errors
/// In Helm's words. The new revision is recorded as failed, the old one stays deployed.
pub(super) fn upgrade(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    latest: &Release,
    package: &Package,
    flags: Flags,
) -> Result<Progress, String> {
    let failed = |why: String| format!("UPGRADE FAILED: {why}");
    let rendered = render(client, &package.chart).map_err(failed)?;
    let deployed = release::deployed(client.pass(), owner);
    let before = deployed.as_ref().unwrap_or(latest).manifest();
    let before = objects::recorded(client, &before);
    let known =
        |item: &Item, among: &[Item]| among.iter().any(|one| objects::same(one, item, owner));
    let mut new = rendered.items.clone();
    new.retain(|item| !known(item, &before));
    claim(client, owner, &new, flags)
        .map_err(|why| failed(format!("Unable to continue with update: {why}")))?;
    let release = begin(client, owner, package, &rendered, "pending-upgrade").map_err(failed)?;
    let done = apply(client, owner, &rendered.items);
    if done.is_ok() {
        for item in before.iter().rev() {
            if !known(item, &rendered.items) && !item.stays() {
                // Helm only warns of what it cannot delete here.
                drop(client.delete(item.at(owner)));
            }
        }
    }
    end(client, owner, &release, done, "Upgrade complete").map_err(failed)?;
    Ok(Progress::Done(rendered.notes))
}

/// `helm uninstall --wait`: everything but the definitions goes, then the release. The
/// impatient do not wait for the objects.
///
/// # Errors
/// In Helm's words.
pub(super) fn uninstall(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    release: &Release,
    impatient: bool,
) -> Result<Progress, String> {
    if release.status != "uninstalling" {
        release.mark(
            client,
            "uninstalling",
            "Deletion in progress (or silently failed)",
        )?;
    }
    let items = objects::recorded(client, &release.manifest());
    let mut left = false;
    for item in items.iter().rev().filter(|item| !item.stays()) {
        client.delete(item.at(owner))?;
        left |= client.get(item.at(owner)).is_some();
    }
    if left && !impatient {
        return Ok(Progress::Waits);
    }
    release::purge(client, owner)?;
    Ok(Progress::Done(Vec::new()))
}

/// Makes what is missing of the chart's definitions. Whether all of them are established.
fn define(client: &Client<'_, '_>, chart: &Chart) -> Result<bool, String> {
    let mut established = true;
    for item in objects::build(client, chart.definitions()?)? {
        let at = place(&item.resource, &item.object, "");
        match client.get(at) {
            None => {
                let created = client.create(at, item.object.clone());
                created.map_err(|why| format!("failed to install CRD {}: {why}", at.name))?;
                established = false;
            }
            Some(found) if at.resource.storage_key() == CRDS => {
                established &= object::is_true(&found, "Established");
            }
            Some(_) => {}
        }
    }
    Ok(established)
}

fn render(client: &Client<'_, '_>, chart: &Chart) -> Result<Rendered, String> {
    let templates = chart.templates()?;
    let notes = notes(&templates);
    let name = chart.name();
    let mut manifest = String::new();
    for (path, object) in &templates.objects {
        let yaml = serde_norway::to_string(object).map_err(|error| error.to_string())?;
        // Writing to a string cannot fail.
        let _ = write!(manifest, "---\n# Source: {name}/{path}\n{yaml}");
    }
    let objects = templates.objects.into_iter().map(|(_, object)| object);
    let items = objects::build(client, objects.collect())?;
    Ok(Rendered {
        items,
        manifest,
        notes,
    })
}

/// What the sandbox did not do.
fn notes(templates: &Templates) -> Vec<String> {
    let list = |names: &mut dyn Iterator<Item = &String>, count: usize| {
        let mut names: Vec<&str> = names.take(NAMED).map(String::as_str).collect();
        if count > NAMED {
            names.push("…");
        }
        names.join(", ")
    };
    let mut notes = Vec::new();
    let (left, all) = (templates.unrendered.len(), templates.count);
    if left > 0 {
        let names = list(&mut templates.unrendered.iter(), left);
        notes.push(format!(
            "the sandbox does not render templates: {left} of {all} files were left out: {names}"
        ));
    }
    for (what, names) in [
        ("run hooks", &templates.hooks),
        ("install subcharts", &templates.subcharts),
    ] {
        if !names.is_empty() {
            let names = list(&mut names.iter(), names.len());
            notes.push(format!("the sandbox does not {what}: {names}"));
        }
    }
    notes
}

/// Refuses what somebody else made.
fn claim(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    items: &[Item],
    flags: Flags,
) -> Result<(), String> {
    if flags.take_ownership {
        return Ok(());
    }
    let mut foreign = items.iter().filter_map(|item| item.foreign(client, owner));
    foreign.next().map_or(Ok(()), Err)
}

fn make_namespace(client: &Client<'_, '_>, owner: Owner<'_>) -> Result<(), String> {
    let name = owner.namespace;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"name": name}}});
    for item in objects::build(client, vec![namespace])? {
        client.create(item.at(owner), item.object.clone())?;
    }
    Ok(())
}

fn begin(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    package: &Package,
    rendered: &Rendered,
    status: &str,
) -> Result<Release, String> {
    let content = Content {
        chart: &package.chart,
        values: &package.values,
        manifest: &rendered.manifest,
    };
    release::begin(client, owner, &content, status)
}

fn apply(client: &Client<'_, '_>, owner: Owner<'_>, items: &[Item]) -> Result<(), String> {
    items
        .iter()
        .try_for_each(|item| client.apply(item.at(owner), item.marked(owner)))
}

/// Records how it went.
fn end(
    client: &Client<'_, '_>,
    owner: Owner<'_>,
    release: &Release,
    done: Result<(), String>,
    complete: &str,
) -> Result<(), String> {
    match done {
        Ok(()) => {
            release::supersede(client, owner, release.revision)?;
            release.mark(client, "deployed", complete)
        }
        Err(why) => {
            release.mark(client, "failed", &why)?;
            Err(why)
        }
    }
}
