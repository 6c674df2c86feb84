//! What stays on the machines under the nodes.

use std::time::Duration;

use serde_json::Value;

/// The disks of a cluster's nodes, of which a pod with the rights for it reaches K3s's part.
///
/// Nodes are told by name, files by their absolute path. Errors are the machine's words.
pub trait NodeDisks: Send + Sync {
    /// Replaces the K3s binary on a node's disk by that of a version such as `v1.35.6+k3s1`, so
    /// that the machine boots it ever after. The error says why it cannot be written.
    fn replace_k3s(&self, node: &str, version: &str) -> Result<(), String>;

    /// The content of a file.
    fn read(&self, node: &str, path: &str) -> Result<String, String>;

    /// Writes a file with this mode, in the place of what is there.
    fn write(&self, node: &str, path: &str, mode: u32, content: &str) -> Result<(), String>;

    /// Gives a file another name, in the place of what has it.
    fn rename(&self, node: &str, from: &str, to: &str) -> Result<(), String>;

    /// `k3s certificate rotate`: moves K3s's leaf certificates and their keys aside, so that it makes
    /// others when it starts.
    fn rotate_certificates(&self, node: &str) -> Result<(), String>;

    /// `systemctl daemon-reload`: systemd runs units as they are on the disk now.
    fn reload_units(&self, node: &str) -> Result<(), String>;

    /// kplan's script for the server token, as `docs/internals/node-boot.md` says: has the K3s that runs
    /// there exchange the old one for the new one.
    fn exchange_token(&self, node: &str) -> Result<(), String>;

    /// Starts K3s again, which reads its configuration anew, once that much time of the cloud's
    /// clock is over. The machine and its pods go on meanwhile.
    fn restart_k3s(&self, node: &str, after: Duration) -> Result<(), String>;

    /// The Secret that says where this node's K3s copies snapshots of etcd to; nothing where it
    /// copies none.
    fn etcd_s3(&self, node: &str) -> Result<Option<String>, String>;

    /// What K3s keeps in the cluster's datastore beside its objects: what the token opens, the
    /// authorities, and which machine a node's name belongs to.
    fn datastore(&self) -> Result<Value, String>;
}
