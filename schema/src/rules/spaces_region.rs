//! No bucket can be made in the region.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::SPACES_REGIONS;

pub(super) const SUMMARY: &str = "The backup bucket is in a region that has Spaces.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let Some(backup) = spec.backup.as_ref().filter(|backup| !backup.region.has_spaces()) else {
        return;
    };
    let region = &backup.region;
    // A default is the cluster's region, so that is where the reader has to look.
    let (place, text, remedy) = if region.is_default() {
        (spec.cluster.region.span, "the cluster's region", "Add `region` to `[backup]`")
    } else {
        (region.span, "no Spaces here", "Choose another region")
    };
    let mut finding = Finding::new(Code::SpacesRegion, format!("there is no Spaces in `{region}`"))
        .label(place, text);
    if region.is_default() {
        finding = finding.label(backup.span, "without a `region` of its own");
    }
    report.judge(
        finding
            .why("Spaces, DigitalOcean's object store, is not in every region, and backups need it.")
            .remedy(format!("{remedy}: one of {}.", SPACES_REGIONS.join(", "))),
    );
}
