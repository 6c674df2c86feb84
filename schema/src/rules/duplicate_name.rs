//! Two things of one kind with one name.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::{DomainRecord, Pool, Spec};
use crate::value::DnsLabel;

pub(super) const SUMMARY: &str = "Names are unique among agent pools, add-ons, schedules, and the blocks of one kind.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    distinct("agent pool", spec.agents.iter().map(|pool| &pool.name), report);
    blocks(spec, report);
    no_node(spec, report);
    distinct("add-on", spec.own_addons.iter().map(|addon| &addon.name), report);
    records(spec, report);
    let schedules = spec.backup.iter().flat_map(|backup| &backup.schedules);
    distinct("backup schedule", schedules.map(|schedule| &schedule.name), report);
}

/// Labels tell blocks apart in the file, and names at DigitalOcean.
fn blocks(spec: &Spec, report: &mut Report) {
    macro_rules! named {
        ($what:literal, $blocks:expr) => {
            let labels = $blocks.iter().map(|block| &block.label);
            distinct($what, labels, report);
            names($what, $blocks.iter().map(|block| (&block.label, &block.name)), report);
        };
    }
    named!("SSH key", spec.ssh_keys);
    named!("VPC", spec.vpcs);
    named!("droplet", spec.droplets);
    named!("volume", spec.volumes);
    named!("firewall", spec.firewalls);
    named!("load balancer", spec.load_balancers);
    named!("database", spec.databases);
    named!("bucket", spec.buckets);
    named!("domain", spec.domains);
    distinct("reserved address", spec.reserved_ips.iter().map(|ip| &ip.name), report);
}

/// Two blocks with labels of their own and one name: whose answer was lost, nobody could tell.
fn names<'a, T: std::fmt::Display + Ord + 'a>(
    what: &str,
    blocks: impl Iterator<Item = (&'a Spanned<DnsLabel>, &'a Spanned<T>)>,
    report: &mut Report,
) {
    let mut first: BTreeMap<&T, (&DnsLabel, &Spanned<T>)> = BTreeMap::new();
    for (label, name) in blocks.filter(|(_, name)| name.span.is_some()) {
        let Some((other, earlier)) = first.get(&name.value) else {
            if report.trusts(name.span) {
                first.insert(&name.value, (&label.value, name));
            }
            continue;
        };
        // Of one label, that is said already.
        if **other == label.value {
            continue;
        }
        report.judge(
            Finding::new(Code::DuplicateName, format!("two {what}s are named `{name}`"))
                .label(name.span, "second one")
                .label(earlier.span, "first one")
                .why(
                    "Labels tell them apart in the file, but at DigitalOcean nothing would, and kplan \
                     finds what it made again by its name.",
                )
                .remedy("Rename one of them."),
        );
    }
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

/// Two records with one address, or two that are one and the same.
fn records(spec: &Spec, report: &mut Report) {
    let mut labels: BTreeMap<&str, &DomainRecord> = BTreeMap::new();
    let mut sayings = BTreeSet::new();
    for record in &spec.domain_records {
        // A label without a place has something in it that could not be read.
        if record.label.span.is_none() || !report.trusts(record.label.span) {
            continue;
        }
        let name = (&record.domain.value, &record.name.value);
        let is_new = !is_read(record, report)
            || sayings.insert((record.kind.value, name, record.value.as_str()));
        match labels.get(record.label.as_str()) {
            Some(earlier) => one_label(record, earlier, report),
            None if is_new => drop(labels.insert(&record.label, record)),
            None => one_record(record, report),
        }
    }
}

/// Whether everything that makes a record this one and no other could be read.
fn is_read(record: &DomainRecord, report: &Report) -> bool {
    let spans = [record.kind.span, record.domain.span, record.name.span, record.value.span];
    spans.into_iter().all(|span| span.is_some() && report.trusts(span))
}

fn one_label(record: &DomainRecord, earlier: &DomainRecord, report: &mut Report) {
    report.judge(
        Finding::new(
            Code::DuplicateName,
            format!("two DNS records have the address `domain_record.{}`", record.label.value),
        )
        .label(record.label.span, "second one")
        .label(earlier.label.span, "first one")
        .why(
            "The address is what kplan knows a record by; without a label it is made of type and \
             full name, which several records may share.",
        )
        .remedy("Give each of them a `label` of its own, such as `label = \"mail-1\"`."),
    );
}

fn one_record(record: &DomainRecord, report: &mut Report) {
    let full = record.name.full(&record.domain);
    report.judge(
        Finding::new(
            Code::DuplicateName,
            format!("the record `{} {full}` is declared twice with one value", record.kind.value),
        )
        .label(record.label.span, "second time")
        .why(
            "Nothing tells two such records apart, at DigitalOcean or in an answer, so one would \
             be taken for the other.",
        )
        .remedy("Take one of them out."),
    );
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
