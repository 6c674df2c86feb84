//! A managed datastore without its table.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`postgres` and `mysql` have `[k3s.database]`.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let datastore = &spec.k3s.datastore;
    if !datastore.is_managed() || spec.k3s.database.is_some() {
        return;
    }
    report.judge(
        Finding::new(
            Code::DatabaseMissing,
            format!("the datastore `{datastore}` has no `[k3s.database]`"),
        )
        .label(datastore.span, "a managed database")
        .why("It is the dearest and longest-lived part of the cluster, so its plan is not guessed.")
        .remedy("Add `[k3s.database]` with at least `size = \"db-s-1vcpu-2gb\"`."),
    );
}
