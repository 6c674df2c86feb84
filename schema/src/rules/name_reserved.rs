//! An agent pool, droplet, add-on or DNS record named like something that is made without it.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::{Span, Spanned};
use crate::spec::{
    AFTER_ARGOCD, API_LOAD_BALANCER, API_RECORD, AddonSource, OWN_VPC, SERVERS_POOL, Spec,
};
use crate::value::DnsLabel;

pub(super) const SUMMARY: &str = "No pool is named `servers`, no droplet like a pool, no chart like one of K3s's own, and no block like what kplan makes for its cluster.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for pool in &spec.agents {
        if pool.name.as_str() == SERVERS_POOL {
            judge(&pool.name, spec.servers.span, "an agent pool cannot be named `servers`", report);
        }
    }
    for droplet in &spec.droplets {
        let taken = spec.pools().find(|pool| pool.name() == droplet.label.as_str());
        if let Some(pool) = taken.filter(|_| droplet.label.span.is_some()) {
            let message = format!("a droplet cannot be named `{}`, like a pool", droplet.label);
            judge(&droplet.label, pool.span(), &message, report);
        }
    }
    blocks(spec, report);
    records(spec, report);
    charts(spec, report);
}

/// Blocks that would have the address of something that kplan makes for its cluster.
fn blocks(spec: &Spec, report: &mut Report) {
    let cluster = spec.runs_k3s();
    let mut taken = |what: &str, label: &Spanned<DnsLabel>, names: &[&str], made: bool| {
        if !made || !names.contains(&label.as_str()) {
            return;
        }
        report.judge(
            Finding::new(
                Code::NameReserved,
                format!("a {what} cannot have the label `{label}`"),
            )
            .label(label.span, "taken")
            .why("It is the address of one that kplan makes for its cluster.")
            .remedy("Give it a `label` of its own; its name may stay."),
        );
    };
    for it in &spec.vpcs {
        taken("VPC", &it.label, &[OWN_VPC], spec.has_own_vpc());
    }
    for it in &spec.firewalls {
        taken("firewall", &it.label, &["servers", "agents", "api"], cluster);
    }
    for it in &spec.load_balancers {
        taken("load balancer", &it.label, &[API_LOAD_BALANCER], cluster);
    }
    for it in &spec.databases {
        taken("database", &it.label, &["datastore"], cluster);
    }
    for it in &spec.buckets {
        taken("bucket", &it.label, &["boot", "backup"], cluster);
    }
    for it in &spec.reserved_ips {
        taken("reserved address", &it.name, &["api"], cluster);
    }
    for it in &spec.ssh_keys {
        taken("SSH key", &it.label, &["throwaway"], cluster);
    }
}

/// The releases that K3s installs itself, or removes where they are switched off.
const OF_K3S: [&str; 2] = ["traefik", "traefik-crd"];

fn charts(spec: &Spec, report: &mut Report) {
    for addon in &spec.own_addons {
        if addon.name.as_str() == AFTER_ARGOCD {
            report.judge(
                Finding::new(Code::NameReserved, "an add-on cannot be named `argocd`")
                    .label(addon.name.span, "taken")
                    .why("It is how `after` names the Argo CD of `[gitops]`.")
                    .remedy("Choose another name, or use `[gitops]`."),
            );
        }
        let is_chart = matches!(addon.source, AddonSource::Helm { .. });
        if !is_chart || !OF_K3S.contains(&addon.name.as_str()) {
            continue;
        }
        report.judge(
            Finding::new(
                Code::NameReserved,
                format!("a chart's release cannot be named `{}`", addon.name),
            )
            .label(addon.name.span, "K3s's own")
            .why("K3s installs a release of that name, or removes it where Traefik is switched off.")
            .remedy(format!(
                "Name it `own-{}`, or use `[addons] traefik = true`.",
                addon.name
            )),
        );
    }
}

fn records(spec: &Spec, report: &mut Report) {
    for record in &spec.domain_records {
        if record.label.as_str() == API_RECORD {
            report.judge(
                Finding::new(Code::NameReserved, format!("a DNS record cannot be labelled `{API_RECORD}`"))
                    .label(record.label.span, "taken")
                    .why("It is the record that `[endpoint] domain` makes.")
                    .remedy("Choose another label, or give `[endpoint] domain` and take this out."),
            );
        }
    }
}

fn judge(name: &Spanned<DnsLabel>, other: Option<Span>, message: &str, report: &mut Report) {
    report.judge(
        Finding::new(Code::NameReserved, message)
            .label(name.span, "taken")
            .label(other, "by this")
            .why("Both would have the same addresses and droplet names.")
            .remedy("Choose another name."),
    );
}
