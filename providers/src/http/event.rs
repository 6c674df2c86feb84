//! What the client tells about its own waiting; a library prints nothing.

use std::sync::Arc;
use std::time::Duration;

/// Something a reader who wonders why nothing happens would like to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpEvent {
    /// Requests wait for the rate limit of the token.
    Limited {
        /// How long this one waits.
        wait: Duration,
        /// Whether the remote side said so (429), or we keep below its limit.
        refused: bool,
    },
    /// A request is made again.
    Retrying {
        /// After this long.
        wait: Duration,
        /// Method and path.
        what: String,
        /// Why.
        why: String,
    },
}

/// Receives events; must not block.
pub type OnEvent = Arc<dyn Fn(HttpEvent) + Send + Sync>;
