//! How many requests were made.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts requests to DigitalOcean and S3, repeated ones included. Shared by every client of a
/// run.
#[derive(Debug, Default)]
pub struct Statistics {
    api_calls: AtomicU64,
}

impl Statistics {
    /// One more request.
    pub fn count(&self) {
        self.api_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests made so far.
    pub fn api_calls(&self) -> u64 {
        self.api_calls.load(Ordering::Relaxed)
    }
}
