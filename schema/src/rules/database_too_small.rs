//! A database plan with too few connections.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "The database plan has connections for every server.";

/// Smallest plan for several servers. K3s has no setting for its number of connections; two
/// servers exhaust the 22 that the 1 GiB plan leaves.
const MIN_GIB_SEVERAL: u32 = 2;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(database) = spec.k3s.database.as_ref().filter(|_| spec.datastore().is_managed())
    else {
        return;
    };
    let (size, servers) = (&database.size, &spec.servers.count);
    if servers.value < 2 || size.memory_gib() >= MIN_GIB_SEVERAL {
        return;
    }
    report.judge(
        Finding::new(
            Code::DatabaseTooSmall,
            format!("`{size}` is too small for {servers} servers"),
        )
        .label(size.span, format!("{} connections", size.connections()))
        .label(servers.span, format!("shared by {servers} servers"))
        .label(spec.k3s.datastore.span, "")
        .why(
            "DigitalOcean grants 25 connections per GiB less 3. K3s opens as many as it needs and \
             cannot be limited, so under load servers would fail to reach their own state.",
        )
        .remedy("Take a plan of at least 2 GiB, for example `db-s-1vcpu-2gb`."),
    );
}
