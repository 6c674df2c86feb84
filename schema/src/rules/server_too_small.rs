//! Servers too small for what runs on them.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "Servers have the CPU and memory for what runs on them.";

/// What a server with workload, Argo CD's included, was measured to need, in MiB.
const MIN_MIB: u32 = 2048;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let size = &spec.servers.size;
    // With agents to run on, Argo CD need not share the servers.
    let shared = spec.servers.schedulable.value && spec.agents.is_empty();
    let Some(memory) = size.memory_mib() else {
        return;
    };
    let Some(gitops) = spec.gitops.as_ref().filter(|_| shared && report.trusts_nodes()) else {
        return;
    };
    if memory >= MIN_MIB {
        return;
    }
    report.judge(
        Finding::new(Code::ServerTooSmall, format!("`{size}` is small for a server with Argo CD"))
            .label(size.span, format!("{} vCPU, {memory} MiB", size.vcpus()))
            .label(gitops.span, "runs on the servers")
            .why(
                "A K3s server with workload takes about 1.6 GiB; with less, the node starts to kill \
                 its own pods.",
            )
            .remedy("Take at least 2 GiB; `s-2vcpu-4gb` leaves room for your applications."),
    );
}
