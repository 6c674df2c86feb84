//! Several servers and no single address for them.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "Several servers have a load balancer or a host name in front of them.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let count = &spec.servers.count;
    if count.value < 2 || spec.api_load_balancer.is_some() || spec.api_hostname().is_some() {
        return;
    }
    report.judge(
        Finding::new(
            Code::ApiEndpointMissing,
            format!("{count} servers have no common address"),
        )
        .label(count.span, "several servers")
        .why(
            "Kubeconfigs and agents need one address that answers whichever server is down; with \
             the address of one server the others would add cost but no availability.",
        )
        .remedy(
            "Add `[load_balancer.api]`, or `[endpoint]` with a `hostname` that you point at all \
             servers.",
        ),
    );
}
