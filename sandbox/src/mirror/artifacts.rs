//! The table of files the mirror serves.

use bytes::Bytes;

use super::k3s_binary;

/// Where a file's bytes come from.
pub(super) enum Source {
    /// A manifest beside this module.
    Manifest(&'static str),
    /// A stand-in for the K3s binary of an architecture.
    Binary(&'static str),
}

/// One file of the version set.
pub(super) struct Artifact {
    pub component: &'static str,
    pub version: &'static str,
    pub file: &'static str,
    source: Source,
}

impl Artifact {
    /// The bytes.
    pub(super) fn content(&self) -> Bytes {
        match self.source {
            Source::Manifest(text) => Bytes::from_static(text.as_bytes()),
            Source::Binary(architecture) => Bytes::from(k3s_binary(self.version, architecture)),
        }
    }

    /// `Content-Type` of the answer.
    pub(super) fn media_type(&self) -> &'static str {
        match self.source {
            Source::Manifest(_) => "application/yaml",
            Source::Binary(_) => "application/octet-stream",
        }
    }
}

macro_rules! manifest {
    ($component:literal, $version:literal, $file:literal) => {
        Artifact {
            component: $component,
            version: $version,
            file: $file,
            source: Source::Manifest(include_str!(concat!("manifests/", $component, "/", $file))),
        }
    };
}

const fn k3s(version: &'static str, file: &'static str, architecture: &'static str) -> Artifact {
    Artifact {
        component: "k3s",
        version,
        file,
        source: Source::Binary(architecture),
    }
}

/// Components, versions and file names are upstream's; a component's first version is its default.
pub(super) const ARTIFACTS: &[Artifact] = &[
    k3s("v1.35.6+k3s1", "k3s", "amd64"),
    k3s("v1.35.6+k3s1", "k3s-arm64", "arm64"),
    k3s("v1.34.9+k3s1", "k3s", "amd64"),
    k3s("v1.34.9+k3s1", "k3s-arm64", "arm64"),
    manifest!("argo-cd", "v3.4.7", "install.yaml"),
    manifest!("argo-cd", "v3.4.7", "ha-install.yaml"),
    manifest!("csi-digitalocean", "v4.16.0", "crds.yaml"),
    manifest!("csi-digitalocean", "v4.16.0", "driver.yaml"),
    manifest!("csi-digitalocean", "v4.16.0", "snapshot-controller.yaml"),
    manifest!("digitalocean-ccm", "v0.1.68", "v0.1.68.yml"),
    manifest!("sealed-secrets", "v0.36.6", "controller.yaml"),
    manifest!("system-upgrade-controller", "v0.20.1", "clusterrole.yaml"),
    manifest!(
        "system-upgrade-controller",
        "v0.20.1",
        "clusterrolebinding.yaml"
    ),
    manifest!(
        "system-upgrade-controller",
        "v0.20.1",
        "system-upgrade-controller.yaml"
    ),
    manifest!(
        "system-upgrade-controller",
        "v0.20.1",
        "upgrade.cattle.io_plans.yaml"
    ),
    manifest!("velero", "v1.17.2", "velero.io_backuprepositories.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_backups.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_backupstoragelocations.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_deletebackuprequests.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_downloadrequests.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_podvolumebackups.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_podvolumerestores.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_restores.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_schedules.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_serverstatusrequests.yaml"),
    manifest!(
        "velero",
        "v1.17.2",
        "velero.io_volumesnapshotlocations.yaml"
    ),
    manifest!("velero", "v1.17.2", "velero.io_datadownloads.yaml"),
    manifest!("velero", "v1.17.2", "velero.io_datauploads.yaml"),
];
