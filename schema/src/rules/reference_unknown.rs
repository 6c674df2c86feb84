//! A block that is not there, or a pool where one droplet is meant.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::{API_LOAD_BALANCER, DatabaseSource, OWN_VPC, Spec};
use crate::suggest::nearest;
use crate::value::{BlockRef, DropletRef};

pub(super) const SUMMARY: &str = "Every block, droplet and load balancer that is named is in the file.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    vpcs(spec, report);
    load_balancers(spec, report);
    ssh_keys(spec, report);
    for droplet in several(spec) {
        exists(spec, droplet, report);
    }
    for droplet in single(spec) {
        exists(spec, droplet, report);
        is_one(spec, droplet, report);
    }
}

fn vpcs(spec: &Spec, report: &mut Report) {
    let mut known: Vec<&str> = spec.vpcs.iter().map(|vpc| vpc.label.as_str()).collect();
    known.extend(spec.has_own_vpc().then_some(OWN_VPC));
    let droplets = spec.droplets.iter().filter_map(|it| it.vpc.as_ref());
    let balancers = spec.load_balancers.iter().filter_map(|it| it.vpc.as_ref());
    let databases = spec.databases.iter().filter_map(|it| it.vpc.as_ref());
    for named in droplets.chain(balancers).chain(databases) {
        labelled("VPC", "vpc", named, &known, report);
    }
}

fn load_balancers(spec: &Spec, report: &mut Report) {
    let mut known: Vec<&str> = spec.load_balancers.iter().map(|it| it.label.as_str()).collect();
    known.extend(spec.api_load_balancer.as_ref().map(|_| API_LOAD_BALANCER));
    let firewalls = spec.firewalls.iter();
    let rules = firewalls.flat_map(|it| it.inbound_rule.iter().chain(&it.outbound_rule));
    for named in rules.flat_map(|rule| &rule.load_balancers) {
        labelled("load balancer", "load_balancer", named, &known, report);
    }
}

/// What is neither a label nor can be an id or a fingerprint is a slip.
fn ssh_keys(spec: &Spec, report: &mut Report) {
    let known = || spec.ssh_keys.iter().map(|key| key.label.as_str());
    let of_account = |key: &str| {
        let number = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
        number || key.contains(':')
    };
    for key in spec.droplets.iter().flat_map(|it| it.ssh_keys.iter().flatten()) {
        if known().any(|label| label == key.as_str()) || of_account(key) {
            continue;
        }
        let remedy = match nearest(key, known()) {
            Some(word) => format!("Did you mean `{word}`?"),
            None => "Write the label of a `[[ssh_key]]`, or a fingerprint or an id.".to_owned(),
        };
        report.judge(
            Finding::new(Code::ReferenceUnknown, "this is no SSH key of the file")
                .label(key.span, "not in the file")
                .why("A droplet takes keys of the file by their labels, others of the account by fingerprint or id.")
                .remedy(remedy),
        );
    }
}

fn labelled(
    what: &str,
    table: &str,
    named: &Spanned<BlockRef>,
    known: &[&str],
    report: &mut Report,
) {
    let BlockRef::Label(label) = &named.value else {
        return;
    };
    if known.contains(&label.as_str()) {
        return;
    }
    let near = nearest(label, known.iter().copied());
    let remedy = match near {
        Some(word) => format!("Did you mean `{word}`?"),
        None => format!(
            "Add a `[[{table}]]` with this label, or name one that is in no file by its id."
        ),
    };
    report.judge(
        Finding::new(Code::ReferenceUnknown, format!("the file has no {what} `{label}`"))
            .label(named.span, "not in the file")
            .why("A reference becomes the id of what it names, so that has to be declared too.")
            .remedy(remedy),
    );
}

/// Where all of a pool may be meant.
fn several(spec: &Spec) -> impl Iterator<Item = &Spanned<DropletRef>> {
    let firewalls = spec.firewalls.iter().flat_map(|firewall| {
        let rules = firewall.inbound_rule.iter().chain(&firewall.outbound_rule);
        firewall.droplets.iter().chain(rules.flat_map(|rule| &rule.droplets))
    });
    let balancers = spec.load_balancers.iter().flat_map(|it| &it.droplets);
    let rules = spec.databases.iter().flat_map(|it| &it.rules);
    let databases = rules.filter_map(|rule| match &rule.source {
        DatabaseSource::Droplet(droplet) => Some(droplet),
        _ => None,
    });
    firewalls.chain(balancers).chain(databases)
}

/// Where one droplet is meant.
fn single(spec: &Spec) -> impl Iterator<Item = &Spanned<DropletRef>> {
    let volumes = spec.volumes.iter().filter_map(|it| it.droplet.as_ref());
    volumes.chain(spec.reserved_ips.iter().filter_map(|it| it.droplet.as_ref()))
}

fn exists(spec: &Spec, droplet: &Spanned<DropletRef>, report: &mut Report) {
    let DropletRef::Address { name, index } = &droplet.value else {
        return;
    };
    let pool = spec.pools().find(|pool| pool.name() == name);
    let (message, why) = match (pool, index) {
        (Some(pool), Some(index)) if *index >= pool.count().value && report.trusts_nodes() => (
            format!("the pool `{name}` has no droplet {index}"),
            format!("It has {} of them, which are counted from 0.", pool.count().value),
        ),
        (Some(_), _) => return,
        (None, None) if spec.droplets.iter().any(|it| it.label.as_str() == name) => return,
        (None, Some(_)) if spec.droplets.iter().any(|it| it.label.as_str() == name) => (
            format!("`droplet.{name}` is one droplet and has no number"),
            "Only pools count their droplets.".to_owned(),
        ),
        (None, _) => (
            format!("the file has no `{}`", droplet.value),
            "A reference becomes the id of what it names, so that has to be declared too.".to_owned(),
        ),
    };
    let names = spec.droplets.iter().map(|it| it.label.as_str());
    let near = nearest(name, names.chain(spec.pools().map(crate::spec::Pool::name)));
    let remedy = match near.filter(|near| near != name) {
        Some(word) => format!("Did you mean `droplet.{word}`?"),
        None => "Name a `[[droplet]]`, a pool, or a droplet that is in no file by its id.".to_owned(),
    };
    report.judge(
        Finding::new(Code::ReferenceUnknown, message)
            .label(droplet.span, "not in the file")
            .why(why)
            .remedy(remedy),
    );
}

fn is_one(spec: &Spec, droplet: &Spanned<DropletRef>, report: &mut Report) {
    let DropletRef::Address { name, index: None } = &droplet.value else {
        return;
    };
    if !spec.pools().any(|pool| pool.name() == name) {
        return;
    }
    report.judge(
        Finding::new(Code::ReferenceUnknown, format!("`{}` is a pool, not a droplet", droplet.value))
            .label(droplet.span, "which of them?")
            .why("A volume is attached to one droplet, and a reserved address leads to one.")
            .remedy(format!("Write for example `droplet.{name}[0]`.")),
    );
}
