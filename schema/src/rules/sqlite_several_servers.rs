//! SQLite with several servers.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::Datastore;

pub(super) const SUMMARY: &str = "SQLite has exactly one server.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let count = &spec.servers.count;
    if spec.datastore() != Datastore::Sqlite || count.value < 2 {
        return;
    }
    report.judge(
        Finding::new(
            Code::SqliteSeveralServers,
            format!("SQLite cannot be shared by {count} servers"),
        )
        .label(spec.k3s.datastore.span, "a file on one server's disk")
        .label(count.span, "several servers")
        .why("Every server would keep a state of its own: several clusters instead of one.")
        .remedy("Use `datastore = \"etcd\"`, `\"postgres\"` or `\"mysql\"`, or one server."),
    );
}
