//! How the cluster's controllers reach DigitalOcean's API.

use http::Method;
use serde_json::Value;

/// DigitalOcean's API, as a pod calls it with its token.
pub trait CloudApi: Send + Sync {
    /// One request for a path with its query, answered with the status and the body (null where
    /// there is none). The error says why there is no answer.
    fn call(
        &self,
        token: &str,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), String>;
}
