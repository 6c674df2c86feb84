//! Two things of one kind with one name.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::{Pool, Spec};
use crate::value::DnsLabel;

pub(super) const SUMMARY: &str = "Names are unique among agent pools, droplets, volumes, SSH keys, add-ons and schedules.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    distinct("agent pool", spec.agents.iter().map(|pool| &pool.name), report);
    distinct("droplet", spec.droplets.iter().map(|droplet| &droplet.name), report);
    no_node(spec, report);
    distinct("volume", spec.volumes.iter().map(|volume| &volume.name), report);
    distinct("SSH key", spec.ssh_keys.iter().map(|key| &key.name), report);
    distinct("add-on", spec.own_addons.iter().map(|addon| &addon.name), report);
    let schedules = spec.backup.iter().flat_map(|backup| &backup.schedules);
    distinct("backup schedule", schedules.map(|schedule| &schedule.name), report);
}

/// A free-standing droplet with the name of a node: two droplets of one name, and nobody could
/// tell which of them a lost answer was about.
fn no_node(spec: &Spec, report: &mut Report) {
    for droplet in &spec.droplets {
        let is_node = |pool: Pool<'_>| {
            let prefix = format!("{}-{}-", spec.name(), pool.name());
            let index = droplet.name.as_str().strip_prefix(prefix.as_str());
            index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
        };
        let Some(pool) = spec.pools().find(|pool| is_node(*pool)) else {
            continue;
        };
        report.judge(
            Finding::new(
                Code::DuplicateName,
                format!("the droplet `{}` has a node's name", droplet.name.as_str()),
            )
            .label(droplet.name.span, format!("a name of pool `{}`", pool.name()))
            .why(
                "Nodes are named `<cluster>-<pool>-<number>`, also those a larger count will add; \
                 kplan finds droplets again by their names.",
            )
            .remedy("Rename the droplet."),
        );
    }
}

fn distinct<'a>(
    what: &str,
    names: impl Iterator<Item = &'a Spanned<DnsLabel>>,
    report: &mut Report,
) {
    let mut first: BTreeMap<&str, &Spanned<DnsLabel>> = BTreeMap::new();
    // A name that is missing or unreadable equals no other.
    for name in names.filter(|name| name.span.is_some()) {
        let Some(earlier) = first.get(name.as_str()) else {
            if report.trusts(name.span) {
                first.insert(name.as_str(), name);
            }
            continue;
        };
        report.judge(
            Finding::new(Code::DuplicateName, format!("the {what} `{name}` is declared twice"))
                .label(name.span, "second time")
                .label(earlier.span, "first time")
                .why(
                    "The name is the address by which kplan knows a thing again; two things with \
                     one address would overwrite each other.",
                )
                .remedy("Rename one of them."),
        );
    }
}
