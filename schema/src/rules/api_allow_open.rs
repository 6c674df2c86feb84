//! Nobody said who may reach the API.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`api_allow` names who may reach the Kubernetes API.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    if spec.network.api_allow.is_some() {
        return;
    }
    let place = spec.network.span.or(spec.cluster.span);
    report.judge(
        Finding::new(Code::ApiAllowOpen, "the Kubernetes API is open to the whole internet")
            .label(place, "no `api_allow`")
            .why(
                "Port 6443 asks for a certificate, but every flaw of the API server could be tried \
                 from anywhere.",
            )
            .remedy(
                "Name the networks you work from: `[network]` `api_allow = [\"203.0.113.0/24\"]`; \
                 `[\"0.0.0.0/0\", \"::/0\"]` says that it is meant to be open.",
            ),
    );
}
