//! A database that the whole internet may connect to.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`[[database]] rules` names who may connect.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    for database in spec.databases.iter().filter(|database| database.rules.is_empty()) {
        report.judge(
            Finding::new(
                Code::DatabaseOpen,
                format!("the database `{}` is open to the internet", database.name),
            )
            .label(database.span, "no `rules`")
            .why(
                "Without trusted sources DigitalOcean lets everybody connect who knows the password. \
                 kplan makes no such database; it leaves one alone that is there already.",
            )
            .remedy("Name who may connect: `rules = [{ type = \"tag\", value = \"web\" }]`."),
        );
    }
}
