//! A load balancer that DigitalOcean would refuse.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Span;
use crate::spec::{Forwarding, FreeLoadBalancer, Spec};
use crate::value::CheckProtocol;

pub(super) const SUMMARY: &str = "A load balancer forwards something, to a tag or to droplets.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for balancer in &spec.load_balancers {
        targets(balancer, report);
        path(balancer, report);
        for rule in &balancer.forwarding_rule {
            protocols(rule, report);
            certificate(rule, report);
        }
    }
}

fn judge(what: &str, span: Option<Span>, why: &str, remedy: &str, report: &mut Report) {
    report.judge(
        Finding::new(Code::LoadBalancerInvalid, what)
            .label(span, "here")
            .why(why)
            .remedy(remedy),
    );
}

fn targets(balancer: &FreeLoadBalancer, report: &mut Report) {
    if let Some(tag) = balancer.tag.as_ref().filter(|_| !balancer.droplets.is_empty()) {
        judge(
            "a load balancer takes a tag or droplets, not both",
            tag.span,
            "DigitalOcean would keep one of them.",
            "Take one out.",
            report,
        );
    }
}

fn path(balancer: &FreeLoadBalancer, report: &mut Report) {
    let check = balancer.healthcheck.as_ref();
    let tcp = check.filter(|check| check.protocol.value == CheckProtocol::Tcp);
    if let Some(path) = tcp.and_then(|check| check.path.as_ref()) {
        judge(
            "a check by TCP has no path",
            path.span,
            "TCP is only connected to; nothing is asked for.",
            "Take `path` out, or check by `http`.",
            report,
        );
    }
}

/// TCP stays TCP, and UDP stays UDP.
fn protocols(rule: &Forwarding, report: &mut Report) {
    let (entry, target) = (rule.entry_protocol.value.as_str(), rule.target_protocol.value.as_str());
    let raw = |protocol: &str| matches!(protocol, "tcp" | "udp");
    let read = rule.entry_protocol.span.is_some() && report.trusts(rule.entry_protocol.span);
    if read && entry != target && (raw(entry) || raw(target)) {
        judge(
            &format!("a load balancer does not make {target} of {entry}"),
            rule.target_protocol.span,
            "It passes TCP and UDP on as they are; of the others it knows what they say.",
            "Use one protocol on both sides.",
            report,
        );
    }
}

/// Where TLS comes in, it ends here or passes through.
fn certificate(rule: &Forwarding, report: &mut Report) {
    let entry = rule.entry_protocol.value.as_str();
    let encrypted = matches!(entry, "https" | "http2" | "http3");
    let given = rule.certificate_id.as_ref();
    let passes = rule.tls_passthrough.value;
    let (what, span) = match (encrypted, given, passes) {
        (true, None, false) => (format!("nothing says where the TLS of {entry} ends"), rule.span),
        (true, Some(id), true) => ("TLS that passes through needs no certificate".to_owned(), id.span),
        _ => return,
    };
    judge(
        &what,
        span,
        "It ends at the load balancer, by a certificate, or passes through to the droplets.",
        "Give either `certificate_id` or `tls_passthrough = true`.",
        report,
    );
}
