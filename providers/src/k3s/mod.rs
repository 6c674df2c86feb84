//! K3s: the cluster's keys, how a droplet becomes a node, and the cluster itself.

pub mod access;
pub mod boot;
pub mod bundle;
pub mod cluster;
pub mod config;
mod configure;
pub mod etcd_restore;
pub mod grant;
pub mod kubeconfig;
pub mod node;
pub mod pki;
pub mod report;
pub mod served;
pub mod server_token;
pub mod storage;
#[cfg(test)]
pub(crate) mod testing;
mod token;

pub use access::Access;
pub use boot::BootArgs;
pub use cluster::{Bundles, Cluster, ClusterArgs, ClusterAttrs};
pub use etcd_restore::EtcdRestore;
pub use grant::DatastoreAdmin;
pub use kubeconfig::{Kubeconfig, exec_credential, kubeconfig, kubeconfig_exec};
pub use node::{Datastore, Drain, K3sNode, LeaveEtcd, NodeApi, NodeArgs, NodeAttrs, Uncordon};
pub use pki::{Pki, PkiArgs, PkiAttrs};
pub use served::served_certificate;
pub use server_token::{LivingServer, ServerToken, ServerTokenArgs, ServerTokenAttrs};
pub use storage::BootStorage;
