//! Kubernetes: server-side apply with an inventory, readiness, pruning, the server's own dry run;
//! and one file per kind that is made of Kubernetes objects.

pub mod addon_manifest;
pub mod argocd;
pub mod argocd_application;
pub mod argocd_repository;
pub mod bundle;
mod by_hand;
pub mod ccm;
pub mod cloud_secret;
pub mod connect;
#[cfg(test)]
mod core_objects;
pub mod csi;
pub mod delivered;
pub mod diff;
pub mod etcd_snapshots;
pub(crate) mod eviction;
pub mod final_backup;
pub mod helm_release;
pub mod in_process;
pub mod k3s_upgrade;
pub mod kind;
#[cfg(test)]
pub(crate) mod known;
mod made_for;
pub mod managed;
pub mod manifest;
pub mod metadata_probe;
mod namespace;
pub mod object;
mod parallel;
pub mod read_only;
pub mod sealed_secrets;
pub mod session;
pub mod suspend;
pub mod targets;
#[cfg(test)]
pub(crate) mod testing;
pub mod upgrade_controller;
pub mod velero;
pub mod velero_restore;
pub mod velero_source;
pub mod wait;
pub mod wind_down;

pub use addon_manifest::{AddonManifest, AddonManifestArgs};
pub use argocd::{Argocd, ArgocdArgs, ArgocdIngress};
pub use argocd_application::{ArgocdApplication, ArgocdApplicationArgs};
pub use argocd_repository::{ArgocdRepository, ArgocdRepositoryArgs, GithubApp};
pub use ccm::{Ccm, CcmArgs};
pub use cloud_secret::{CloudSecret, CloudSecretArgs};
pub use connect::{
    Connector, Endpoint, Kubernetes, KubernetesCalls, KubernetesConfig, Network, Role,
};
pub use csi::{Csi, CsiArgs};
pub use delivered::{SealingSecret, SealingSecretArgs, VeleroSecret, VeleroSecretArgs};
pub use etcd_snapshots::{EtcdSnapshots, EtcdSnapshotsArgs};
pub use final_backup::{FinalBackup, FinalBackupArgs, Kept, kept};
pub use helm_release::{HelmRelease, HelmReleaseArgs};
pub use in_process::InProcess;
pub use k3s_upgrade::{K3sUpgrade, K3sUpgradeArgs};
pub use kind::{Applied, BundleAttrs, BundleKind, Bundled};
pub use made_for::{MadeFor, made_for};
pub use sealed_secrets::{SealedSecrets, SealedSecretsArgs};
pub use session::Session;
pub use suspend::{Resume, Suspend};
pub use targets::{Targets, targets};
pub use upgrade_controller::{UpgradeController, UpgradeControllerArgs};
pub use velero::{Schedule, Velero, VeleroArgs};
pub use velero_restore::{RestoreArgs, RestoreAttrs, VeleroRestore};
pub use velero_source::{VeleroSource, VeleroSourceArgs};
pub use wind_down::{Remarks, WindDown, WindDownArgs};
