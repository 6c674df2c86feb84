//! The operator's own token goes into the cluster.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "The controllers inside the cluster have a token of their own.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    if spec.cloud_controller.token.is_some() {
        return;
    }
    let place = spec.cloud_controller.span.or(spec.cluster.span);
    report.judge(
        Finding::new(Code::CloudControllerToken, "your own DigitalOcean token goes into the cluster")
            .label(place, "no `[cloud_controller]` `token`")
            .why(
                "The cloud controller and the storage driver need one; whoever takes over a node \
                 could then do everything you can, and they share your rate limit.",
            )
            .remedy(
                "Make a token with only the scopes they need, and name its source: \
                 `[cloud_controller]` `token = { env = \"CLUSTER_TOKEN\" }`.",
            ),
    );
}
