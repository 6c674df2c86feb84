//! No bucket can be made in the region.

use crate::code::Code;
use crate::diagnostic::{Finding, Report};
use crate::span::Spanned;
use crate::spec::{BackupStore, Spec};
use crate::value::{S3Place, SPACES_REGIONS, StateBackend};

pub(super) const SUMMARY: &str =
    "Buckets, and a state's bucket in Spaces, are in a region that has Spaces.";

pub(super) fn check(spec: &Spec, report: &mut Report) {
    state(spec, report);
    buckets(spec, report);
    let Some(backup) = &spec.backup else {
        return;
    };
    let region = match &backup.store {
        BackupStore::Own { region, .. } if !region.has_spaces() => region,
        BackupStore::Existing { place, .. } => return existing(place, "the backups' bucket", report),
        BackupStore::Own { .. } => return,
    };
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

fn buckets(spec: &Spec, report: &mut Report) {
    for bucket in spec.buckets.iter().filter(|bucket| !bucket.region.has_spaces()) {
        let region = &bucket.region;
        let mut finding = Finding::new(Code::SpacesRegion, format!("there is no Spaces in `{region}`"));
        finding = if region.is_default() {
            let cluster = spec.cluster.region.span;
            finding.label(cluster, "the cluster's region").label(bucket.span, "has none of its own")
        } else {
            finding.label(region.span, "no Spaces here")
        };
        report.judge(
            finding
                .why("Spaces, DigitalOcean's object store, is not in every region.")
                .remedy(format!("Give the bucket a region: one of {}.", SPACES_REGIONS.join(", "))),
        );
    }
}

fn state(spec: &Spec, report: &mut Report) {
    if let StateBackend::S3(place) = &spec.state.value {
        existing(&Spanned { value: place.clone(), span: spec.state.span }, "the state's bucket", report);
    }
}

/// A bucket that kplan does not make. Another store's regions are its own business.
fn existing(place: &Spanned<S3Place>, what: &str, report: &mut Report) {
    if place.endpoint.is_some() || SPACES_REGIONS.contains(&place.region()) {
        return;
    }
    let region = place.region();
    report.judge(
        Finding::new(Code::SpacesRegion, format!("there is no Spaces in `{region}`"))
            .label(place.span, what)
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
