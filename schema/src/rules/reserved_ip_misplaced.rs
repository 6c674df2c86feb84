//! A reserved IP where it cannot serve.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "A reserved IP belongs to a single server without a load balancer.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(endpoint) = spec.endpoint.as_ref().filter(|endpoint| endpoint.reserved_ip.value)
    else {
        return;
    };
    let count = &spec.servers.count;
    let (message, other, text) = if let Some(balancer) = &spec.api_load_balancer {
        ("a reserved IP cannot be put in front of a load balancer", balancer.span, "has its own address")
    } else if count.value > 1 {
        ("a reserved IP points at one server only", count.span, "several servers")
    } else {
        return;
    };
    report.judge(
        Finding::new(Code::ReservedIpMisplaced, message)
            .label(endpoint.reserved_ip.span, "asked for here")
            .label(other, text)
            .why(
                "It is assigned to one droplet, so it would be the address of one server, and gone \
                 with it.",
            )
            .remedy("Set `reserved_ip = false`; for several servers use `[load_balancer.api]`."),
    );
}
