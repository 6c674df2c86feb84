//! `Owner`: whose resources these are.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The cluster's name and eight characters of its state's lineage. Two folders with one cluster
/// name have different owners and cannot adopt each other's resources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// `[cluster] name`.
    pub cluster: String,
    /// Eight characters of the lineage.
    pub suffix: String,
}

impl Owner {
    /// `demo-3f9a1c2e`.
    pub fn id(&self) -> String {
        format!("{}-{}", self.cluster, self.suffix)
    }

    /// The DigitalOcean tag `kplan:demo-3f9a1c2e`.
    pub fn tag(&self) -> String {
        format!("kplan:{}", self.id())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.cluster, self.suffix)
    }
}
