//! Something that only droplets have on which kplan does not run K3s.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Span;
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`tags` and `ipv6` of a pool stand only with `[k3s] managed = false`.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    if !spec.runs_k3s() {
        return;
    }
    for pool in spec.pools() {
        let given = pool.unmanaged();
        let ipv6 = given.ipv6.as_ref().and_then(|ipv6| ipv6.span);
        judge("tags", given.tags_span, report);
        judge("ipv6", ipv6, report);
    }
}

fn judge(key: &str, span: Option<Span>, report: &mut Report) {
    let Some(span) = span else { return };
    report.judge(
        Finding::new(Code::UnmanagedOnly, format!("the cluster's nodes take no `{key}`"))
            .label(span, "only with `[k3s] managed = false`")
            .why(
                "Where kplan runs K3s it decides how nodes are found and reached: by tags of its own, \
                 over IPv4.",
            )
            .remedy("Take it out. A `[[droplet]]` beside the cluster takes it."),
    );
}
