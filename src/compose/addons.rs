//! `[[addon]]`: manifests and charts of the file's own. They come after storage and, where the
//! cluster is being restored, after the backup is back: volumes of theirs would be empty otherwise.

use super::build::{Builder, address};
use super::platform::{access, argocd, meta};
use kplan_model::Address;
use kplan_providers::artifacts::{ArtifactPin, Sources, pinned};
use kplan_providers::kubernetes::{AddonManifestArgs, Applied, HelmReleaseArgs};
use kplan_schema::spec::{AFTER_ARGOCD, Addon, AddonSource, Chart};

/// Its address.
pub fn addon(addon: &Addon) -> Address {
    let kind = match addon.source {
        AddonSource::Helm { .. } => "helm_release",
        AddonSource::Manifest { .. } | AddonSource::File(_) => "addon_manifest",
    };
    address(kind, addon.name.as_str())
}

/// The address it would have, were it a manifest instead of a chart, or a chart instead of a manifest.
pub fn as_the_other_kind(addon: &Addon) -> Address {
    let kind = match addon.source {
        AddonSource::Helm { .. } => "addon_manifest",
        AddonSource::Manifest { .. } | AddonSource::File(_) => "helm_release",
    };
    address(kind, addon.name.as_str())
}

/// Declares them, behind `after`.
pub(super) fn declare(builder: &mut Builder<'_>, after: &[Address]) {
    let all = &builder.spec.own_addons;
    let by_git = builder.is_by_git();
    for one in all {
        if by_git {
            builder.forget(addon(one));
            continue;
        }
        let before = all
            .iter()
            .filter(|other| one.after.iter().any(|name| name.value == other.name.value));
        let mut after = after.to_vec();
        after.extend(before.map(addon));
        if one.after.iter().any(|name| name.as_str() == AFTER_ARGOCD) {
            after.push(argocd());
        }
        declare_one(builder, one, after);
    }
}

fn declare_one(builder: &mut Builder<'_>, one: &Addon, after: Vec<Address>) {
    let parts = builder.inputs.artifacts.addon(one.name.as_str());
    let (artifacts, sources): (Vec<ArtifactPin>, Sources) =
        pinned(parts.artifact.into_iter().collect());
    let namespace = one.namespace.as_ref().map(ToString::to_string);
    let meta = meta(after);
    let source = match &one.source {
        AddonSource::Helm { chart, values, .. } => {
            let args = HelmReleaseArgs {
                access: access(),
                objects: Applied,
                artifacts,
                sources: Some(sources),
                name: one.name.to_string(),
                namespace: namespace.unwrap_or_else(|| one.name.to_string()),
                values: parts.text,
            };
            builder.add_with(addon(one), &args, one.span, meta);
            builder.field_at("values", values.as_ref().and_then(|file| file.span));
            match chart {
                Chart::Repository { version, .. } => version.span,
                Chart::Archive(url) => url.span,
            }
        }
        AddonSource::Manifest { .. } | AddonSource::File(_) => {
            let args = AddonManifestArgs {
                access: access(),
                objects: Applied,
                artifacts,
                sources: Some(sources),
                content: parts.text,
                namespace,
            };
            builder.add_with(addon(one), &args, one.span, meta);
            match &one.source {
                AddonSource::Manifest { url, .. } => url.span,
                _ => None,
            }
        }
    };
    builder.field_at("artifacts", source);
    builder.field_at(
        "namespace",
        one.namespace.as_ref().and_then(|name| name.span),
    );
}
