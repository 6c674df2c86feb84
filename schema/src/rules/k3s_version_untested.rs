//! A K3s version nobody tested with this kplan.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::{DEFAULT_K3S_VERSION, TESTED_K3S_VERSIONS};

pub(super) const SUMMARY: &str = "The K3s version is one of the tested ones.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let version = &spec.k3s.version;
    if version.is_tested() {
        return;
    }
    let same_minor = format!("v1.{}.", version.minor());
    let nearest = TESTED_K3S_VERSIONS
        .iter()
        .find(|tested| tested.starts_with(&same_minor))
        .copied()
        .unwrap_or(DEFAULT_K3S_VERSION);
    let Some(span) = version.span else {
        return;
    };
    report.judge(
        Finding::new(Code::K3sVersionUntested, format!("K3s {version} is not in the tested set"))
            .label(span, "unknown to this kplan")
            .why(
                "kplan pins the binary's digest and the components that go with it; for another \
                 version it has neither.",
            )
            .remedy(format!(
                "Use `{nearest}`. Tested are {}.",
                TESTED_K3S_VERSIONS.join(", ")
            ))
            .suggest(span, Some(nearest)),
    );
}
