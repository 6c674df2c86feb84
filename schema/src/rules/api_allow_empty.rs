//! An empty list of who may reach the API.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`api_allow` is absent or names at least one network.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(list) = &spec.network.api_allow else {
        return;
    };
    if list.is_empty() {
        report.judge(
            Finding::new(Code::ApiAllowEmpty, "`api_allow` lets nobody reach the Kubernetes API")
                .label(list.span, "no network at all")
                .why(
                    "kplan itself installs everything through the API, so the very first apply \
                     would lock itself out.",
                )
                .remedy(
                    "Name the networks you work from, for example `[\"203.0.113.0/24\"]`, or take \
                     the key out to leave the API open.",
                ),
        );
    }
}
