//! A backup bucket nothing is ever written to.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;

pub(super) const SUMMARY: &str = "`[backup]` has at least one schedule that is not paused.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(backup) = &spec.backup else {
        return;
    };
    if backup.schedules.iter().any(|schedule| !schedule.paused.value) {
        return;
    }
    let what = if backup.schedules.is_empty() { "no schedule" } else { "every schedule is paused" };
    report.judge(
        Finding::new(Code::BackupWithoutSchedule, "no backup is ever made on its own")
            .label(backup.span, what)
            .why("Velero and its bucket alone do not back anything up.")
            .remedy(
                "Add `schedules = [{ name = \"nightly\", cron = \"0 2 * * *\", keep = \"30d\" }]`.",
            ),
    );
}
