//! Adapters to DigitalOcean, Spaces, K3s and Kubernetes: one file per kind of resource, and the
//! registry that names them all; besides, comments on GitHub. Nothing here reads the environment, plans or compares.

pub mod artifacts;
pub mod digitalocean;
pub mod github;
pub mod http;
pub mod k3s;
pub mod kubernetes;
pub mod local;
pub mod recovery;
pub mod registry;
pub mod spaces;
