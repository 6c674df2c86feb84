//! Nodes on which no pod may run.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "Some node takes workloads.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let schedulable = &spec.servers.schedulable;
    if schedulable.value || !spec.agents.is_empty() || !report.trusts_nodes() {
        return;
    }
    report.judge(
        Finding::new(Code::NothingSchedulable, "there is no node for workloads")
            .label(schedulable.span, "servers take none")
            .label(spec.servers.span, "and there are no agents")
            .why(
                "Not even the cluster's own DNS could run, so nothing would ever become ready.",
            )
            .remedy("Add a pool of `[[agents]]`, or set `schedulable = true`."),
    );
}
