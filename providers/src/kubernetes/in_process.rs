//! Clients of clusters that are served in the same process: for tests in which nothing may go
//! over a socket.

use super::connect::{Connector, Endpoint};
use crate::http::{Transport, TransportError};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use kplan_model::ProviderError;
use kube::client::Body;
use std::fmt;
use std::sync::Arc;

/// What carries the calls to one endpoint. It stands for the TLS connection, so it has to act on
/// the endpoint's certificate as the server would.
pub type Route = dyn Fn(&Endpoint) -> Result<Arc<dyn Transport>, ProviderError> + Send + Sync;

/// Makes clients whose calls a [`Transport`] carries.
#[derive(Clone)]
pub struct InProcess(Arc<Route>);

impl InProcess {
    /// Clients by that route.
    pub fn new(
        route: impl Fn(&Endpoint) -> Result<Arc<dyn Transport>, ProviderError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(route))
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl Connector for InProcess {
    fn connect(&self, endpoint: &Endpoint) -> Result<kube::Client, ProviderError> {
        let transport = (self.0)(endpoint)?;
        let service = tower::service_fn(move |request: Request<Body>| {
            let transport = Arc::clone(&transport);
            async move {
                let (parts, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map_err(|error| TransportError::NotSent(error.to_string()))?;
                let request = Request::from_parts(parts, body.to_bytes());
                let answer = transport.call(request).await?;
                Ok::<_, TransportError>(answer.map(Full::new))
            }
        });
        Ok(kube::Client::new(service, "default"))
    }
}
