//! A way to a remote side on which nothing can be changed.

use super::transport::{Transport, TransportError};
use bytes::Bytes;
use http::{Method, Request, Response};
use kplan_model::BoxFuture;
use std::sync::Arc;

/// Carries what reads, and nothing else: whatever is built on it cannot change anything, whatever it
/// asks for.
pub struct ReadOnly(Arc<dyn Transport>);

impl ReadOnly {
    /// The same way, for reading.
    pub fn over(transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Self(transport))
    }
}

impl Transport for ReadOnly {
    fn call(
        &self,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, TransportError>> {
        let method = request.method();
        if *method == Method::GET || *method == Method::HEAD {
            return self.0.call(request);
        }
        let why = format!("this connection only reads, and {method} may change something");
        Box::pin(async move { Err(TransportError::NotSent(why)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{Script, json};

    #[tokio::test]
    async fn what_may_change_something_is_not_sent() {
        let script = Script::answers([json(200, &serde_json::json!({}))]);
        let way = ReadOnly::over(Arc::new(script.clone()));
        let request = |method: &str| {
            let request = Request::builder()
                .method(method)
                .uri("https://example.com/v2/tags");
            request.body(Bytes::new()).unwrap()
        };
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let refused = way.call(request(method)).await.unwrap_err();
            assert!(matches!(refused, TransportError::NotSent(_)), "{method}");
        }
        assert!(way.call(request("GET")).await.is_ok());
        assert_eq!(script.calls(), ["GET /v2/tags"]);
    }
}
