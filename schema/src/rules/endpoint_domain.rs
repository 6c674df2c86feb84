//! A record for the API's name that kplan cannot make.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::Spec;
use crate::value::{Domain, Hostname, RecordName, RecordType};

pub(super) const SUMMARY: &str = "The API's record is in its domain, has one address to lead to, and is declared once.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(domain) = spec.endpoint.as_ref().and_then(|endpoint| endpoint.domain.as_ref()) else {
        return;
    };
    let Some(hostname) = spec.api_hostname() else {
        report.judge(
            Finding::new(Code::EndpointDomain, "`domain` stands without a `hostname`")
                .label(domain.span, "a record in this domain")
                .why("The record needs a name, which also goes into the API's certificate.")
                .remedy(format!("Add for example `hostname = \"k8s.{domain}\"`.")),
        );
        return;
    };
    let Some(name) = RecordName::within(hostname, domain) else {
        report.judge(
            Finding::new(Code::EndpointDomain, format!("`{hostname}` is not in `{domain}`"))
                .label(hostname.span, "this name")
                .label(domain.span, "not in this domain")
                .why("kplan makes the record in the domain, so the name is the domain's or ends in it.")
                .remedy(
                    "Write the domain that DigitalOcean serves the name in; without `domain` you \
                     point the name yourself.",
                ),
        );
        return;
    };
    one_address(spec, domain, report);
    declared_once(spec, hostname, domain, &name, report);
}

fn one_address(spec: &Spec, domain: &Spanned<Domain>, report: &mut Report) {
    let count = &spec.servers.count;
    if count.value < 2 || spec.api_load_balancer.is_some() {
        return;
    }
    report.judge(
        Finding::new(
            Code::EndpointDomain,
            format!("the API's record has no single address to lead to: there are {count} servers"),
        )
        .label(domain.span, "asked for here")
        .label(count.span, "several servers")
        .why(
            "With a record for each server, every name server would go on giving out the address \
             of one that is down.",
        )
        .remedy("Add `[load_balancer.api]`, or leave `domain` out and point the name yourself."),
    );
}

fn declared_once(
    spec: &Spec,
    hostname: &Spanned<Hostname>,
    domain: &Spanned<Domain>,
    name: &RecordName,
    report: &mut Report,
) {
    let answers = [RecordType::A, RecordType::Aaaa, RecordType::Cname];
    let same = spec.domain_records.iter().find(|record| {
        let at = (&record.domain.value, &record.name.value);
        at == (&domain.value, name) && answers.contains(&record.kind.value)
    });
    let Some(record) = same else { return };
    report.judge(
        Finding::new(
            Code::EndpointDomain,
            format!("`{hostname}` has a record of its own beside the API's"),
        )
        .label(record.name.span, "declared here")
        .label(domain.span, "and made for the API")
        .why("Resolvers would give out both, and half of the calls would go astray.")
        .remedy("Take the `[[domain_record]]` out, or `domain`."),
    );
}
