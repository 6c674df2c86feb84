//! An even number of etcd members.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::Datastore;

pub(super) const SUMMARY: &str = "etcd has an odd number of servers.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let count = &spec.servers.count;
    if spec.datastore() != Datastore::Etcd || count.value % 2 == 1 {
        return;
    }
    let datastore = &spec.k3s.datastore;
    let chosen = if datastore.is_default() { " (the default for several servers)" } else { "" };
    let (below, above) = (count.value.saturating_sub(1), count.value.saturating_add(1));
    report.judge(
        Finding::new(Code::EtcdEvenCount, format!("etcd cannot use {count} servers{chosen}"))
            .label(count.span, "an even number")
            .label(datastore.span.or(spec.k3s.span), "kept on the servers themselves")
            .why(format!(
                "etcd needs a majority: {count} members survive no more failures than {below}, and \
                 an even split stops the cluster."
            ))
            .remedy(format!(
                "Use {below} or {above} servers, or a managed datastore: `postgres` or `mysql`."
            )),
    );
}
