//! Two things of one kind with one name.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::Spec;
use crate::value::DnsLabel;

pub(super) const SUMMARY: &str = "Names are unique among agent pools, droplets, volumes, SSH keys and schedules.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    distinct("agent pool", spec.agents.iter().map(|pool| &pool.name), report);
    distinct("droplet", spec.droplets.iter().map(|droplet| &droplet.name), report);
    distinct("volume", spec.volumes.iter().map(|volume| &volume.name), report);
    distinct("SSH key", spec.ssh_keys.iter().map(|key| &key.name), report);
    let schedules = spec.backup.iter().flat_map(|backup| &backup.schedules);
    distinct("backup schedule", schedules.map(|schedule| &schedule.name), report);
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
