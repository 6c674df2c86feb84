//! An agent pool, droplet or DNS record named like something kplan makes itself.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::{Span, Spanned};
use crate::spec::{API_RECORD, SERVERS_POOL, Spec};
use crate::value::DnsLabel;

pub(super) const SUMMARY: &str = "No pool is named `servers`, no droplet like a pool, and no DNS record `api`.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for pool in &spec.agents {
        if pool.name.as_str() == SERVERS_POOL {
            judge(&pool.name, spec.servers.span, "an agent pool cannot be named `servers`", report);
        }
    }
    for droplet in &spec.droplets {
        let taken = spec.pools().find(|pool| pool.name() == droplet.name.as_str());
        if let Some(pool) = taken.filter(|_| droplet.name.span.is_some()) {
            let message = format!("a droplet cannot be named `{}`, like a pool", droplet.name);
            judge(&droplet.name, pool.span(), &message, report);
        }
    }
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
