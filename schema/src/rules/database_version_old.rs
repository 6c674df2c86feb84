//! A database version past its end of life.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::Datastore;

pub(super) const SUMMARY: &str = "The database version is still maintained.";

/// Oldest PostgreSQL still maintained by its makers beyond 2025.
const MIN_POSTGRES: u32 = 14;
/// Oldest `MySQL` DigitalOcean offers.
const MIN_MYSQL: u32 = 8;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(database) = &spec.k3s.database else {
        return;
    };
    let (engine, oldest, current) = match spec.datastore() {
        Datastore::Postgres => ("PostgreSQL", MIN_POSTGRES, "16"),
        Datastore::Mysql => ("MySQL", MIN_MYSQL, "8"),
        Datastore::Sqlite | Datastore::Etcd => return,
    };
    let version = &database.version;
    if version.major() >= oldest {
        return;
    }
    report.judge(
        Finding::new(
            Code::DatabaseVersionOld,
            format!("{engine} {version} is past its end of life"),
        )
        .label(version.span, format!("{oldest} is the oldest still maintained"))
        .label(spec.k3s.datastore.span, "")
        .why("It gets no security fixes any more, and DigitalOcean does not create it.")
        .remedy(format!("Use `version = \"{current}\"`.")),
    );
}
