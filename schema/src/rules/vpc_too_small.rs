//! A VPC with fewer addresses than the cluster has nodes.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "The VPC has an address for everything in it.";

/// Addresses of every network nobody can have: its own, broadcast, and the gateway.
const TAKEN: u64 = 3;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(range) = spec.network.vpc.ip_range.as_ref().filter(|range| range.is_private_v4())
    else {
        return;
    };
    let size = range.prefix_len();
    if !(16..=28).contains(&size) || !report.trusts_nodes() {
        return;
    }
    let usable = (1_u64 << (32 - size)).saturating_sub(TAKEN);
    let balancer = u64::from(spec.api_load_balancer.is_some());
    let database = spec.k3s.database.as_ref().map_or(0, |database| database.nodes.value);
    let beside = spec.droplets.iter();
    let beside = beside.filter(|it| spec.is_in_own_vpc(&it.region, it.vpc.as_ref())).count();
    let needed = u64::from(spec.node_count())
        .saturating_add(u64::try_from(beside).unwrap_or(u64::MAX))
        .saturating_add(balancer)
        .saturating_add(u64::from(database));
    if needed <= usable {
        return;
    }
    report.judge(
        Finding::new(
            Code::VpcTooSmall,
            format!("`{range}` has {usable} addresses, the cluster needs {needed}"),
        )
        .label(range.span, "too small")
        .why("Every droplet, load balancer and database takes an address, and a VPC cannot grow.")
        .remedy("Use a larger network; /20 leaves room for about 4000 nodes."),
    );
}
