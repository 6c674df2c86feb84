//! A database table nobody uses.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`[k3s.database]` stands only with `postgres` or `mysql`.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let datastore = &spec.k3s.datastore;
    let Some(database) = &spec.k3s.database else {
        return;
    };
    if datastore.is_managed() {
        return;
    }
    report.judge(
        Finding::new(
            Code::DatabaseUnused,
            format!("`[k3s.database]` is of no use to the datastore `{datastore}`"),
        )
        .label(database.span, "would not be made")
        .label(datastore.span, "")
        .why("The table would be skipped silently, or cost money for nothing.")
        .remedy("Set `[k3s] datastore = \"postgres\"` or `\"mysql\"`, or take the table out."),
    );
}
