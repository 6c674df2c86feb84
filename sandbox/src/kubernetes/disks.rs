//! What stays on the machines under the nodes.

/// The disks of a cluster's nodes.
pub trait NodeDisks: Send + Sync {
    /// Replaces the K3s binary on a node's disk by that of a version such as `v1.35.6+k3s1`, so
    /// that the machine boots it ever after. The error says why it cannot be written.
    fn replace_k3s(&self, node: &str, version: &str) -> Result<(), String>;
}
