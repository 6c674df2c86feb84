//! `Origin`: where in the configuration something was said, so that a late error can still point
//! at the line.

use serde::{Deserialize, Serialize};

/// A place in `cluster.toml`, or why there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Bytes `start..end` of the file.
    File {
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
    },
    /// A default of kplan's.
    #[default]
    Default,
    /// Only in the state: the block is gone from the file.
    State,
}
