//! Connections that only read: for commands that must not be able to change a cluster.

use super::connect::{Connector, Endpoint};
use http::{Method, Request, Response};
use kplan_model::{BoxFuture, ProviderError};
use kube::client::Body;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{BoxError, Service};

/// Makes clients that send nothing but reads and dry runs; everything else ends here with an error.
pub struct ReadOnly(pub Arc<dyn Connector>);

impl Connector for ReadOnly {
    fn connect(&self, endpoint: &Endpoint) -> Result<kube::Client, ProviderError> {
        let client = self.0.connect(endpoint)?;
        Ok(kube::Client::new(Reads(client), "default"))
    }
}

#[derive(Clone)]
struct Reads(kube::Client);

impl Service<Request<Body>> for Reads {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !only_reads(&request) {
            let message = format!(
                "this command only reads, so {} {} was not sent; this is a bug in kplan",
                request.method(),
                request.uri().path()
            );
            return Box::pin(async move { Err(message.into()) });
        }
        let client = self.0.clone();
        Box::pin(async move { Ok(client.send(request).await?) })
    }
}

/// A server's dry run answers as if it had done it, and does nothing.
fn only_reads(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let mut parameters = query.split('&');
    matches!(*request.method(), Method::GET | Method::HEAD)
        || parameters.any(|parameter| parameter == "dryRun=All")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_and_dry_runs_pass() {
        let reads = |method: &str, uri: &str| {
            let request = Request::builder().method(method).uri(uri);
            only_reads(&request.body(Body::empty()).unwrap())
        };
        assert!(reads("GET", "/api/v1/nodes"));
        assert!(reads(
            "PATCH",
            "/api/v1/nodes/a?fieldManager=kplan&dryRun=All"
        ));
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert!(!reads(method, "/api/v1/nodes/a"), "{method}");
            assert!(!reads(method, "/api/v1/nodes/a?x=dryRun=All"), "{method}");
        }
    }
}
