//! Highly available Argo CD on too few nodes.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::{Pool, Spec};
use crate::value::{Taint, TaintEffect};

pub(super) const SUMMARY: &str = "`[gitops] ha = true` has at least three nodes to run on.";

/// Argo CD's highly available manifests run three Redis servers that refuse to share a node.
const MIN_NODES: u32 = 3;

/// Whether pods that tolerate nothing may run on the nodes of a pool.
fn takes_any_pod(spec: &Spec, pool: Pool<'_>) -> bool {
    let closed = matches!(pool, Pool::Servers(_)) && !spec.servers.schedulable.value;
    let keeps_away =
        |taint: &Spanned<Taint>| taint.value.effect != TaintEffect::PreferNoSchedule;
    !closed && !pool.taints().iter().any(keeps_away)
}

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(gitops) = &spec.gitops else {
        return;
    };
    let open = spec.pools().filter(|pool| takes_any_pod(spec, *pool));
    let usable = open.fold(0, |sum: u32, pool| sum.saturating_add(pool.count().value));
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
        .remedy("Add nodes without taints, or set `ha = false`."),
    );
}
