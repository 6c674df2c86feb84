//! Highly available Argo CD on too few nodes.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`[gitops] ha = true` has at least three nodes to run on.";

/// Argo CD's highly available manifests run three Redis servers that refuse to share a node.
const MIN_NODES: u32 = 3;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(gitops) = &spec.gitops else {
        return;
    };
    let agents = spec.agent_count();
    let usable = if spec.servers.schedulable.value {
        spec.server_count().saturating_add(agents)
    } else {
        agents
    };
    if !gitops.ha.value || usable >= MIN_NODES || !report.trusts_nodes() {
        return;
    }
    let plural = if usable == 1 { "" } else { "s" };
    report.judge(
        Finding::new(
            Code::ArgocdHaNodes,
            format!("highly available Argo CD needs {MIN_NODES} nodes, there is room on {usable}"),
        )
        .label(gitops.ha.span, format!("{usable} node{plural} may run its pods"))
        .label(spec.servers.count.span, "")
        .why(
            "Its three Redis servers refuse to share a node, so Argo CD would never become ready \
             and the apply would wait until it times out.",
        )
        .remedy("Add nodes, or set `ha = false`."),
    );
}
