//! No bucket can be made in the region.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::spec::Spec;
use crate::value::{SPACES_REGIONS, StateBackend};

pub(super) const SUMMARY: &str =
    "The backup bucket, and a state's bucket in Spaces, are in a region that has Spaces.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    state(spec, report);
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

/// Another store's regions are its own business.
fn state(spec: &Spec, report: &mut Report) {
    let StateBackend::S3(place) = &spec.state.value else {
        return;
    };
    if place.endpoint.is_some() || SPACES_REGIONS.contains(&place.region()) {
        return;
    }
    let region = place.region();
    report.judge(
        Finding::new(Code::SpacesRegion, format!("there is no Spaces in `{region}`"))
            .label(spec.state.span, "the state's bucket")
            .why(
                "Without `endpoint` the bucket is one of Spaces, DigitalOcean's object store, \
                 which is not in every region; without `region` it is in the cluster's.",
            )
            .remedy(format!(
                "Name the bucket's region, `?region=…`, one of {}; or another store, \
                 `?endpoint=…`.",
                SPACES_REGIONS.join(", ")
            )),
    );
}
