//! The S3 client's way to the network: our transport, our counter, our clock.

use super::SpacesConfig;
use crate::http::{Now, Transport, TransportError};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The transport as the S3 client wants it.
#[derive(Clone)]
pub(super) struct Connector {
    transport: Arc<dyn Transport>,
    statistics: Arc<crate::http::Statistics>,
}

impl Connector {
    pub(super) fn new(config: &SpacesConfig) -> Self {
        Self {
            transport: Arc::clone(&config.transport),
            statistics: Arc::clone(&config.statistics),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// What went wrong before anything could be sent.
fn not_sent(why: &str) -> ConnectorError {
    ConnectorError::user(TransportError::NotSent(why.to_owned()).into())
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|_| not_sent("the request has no HTTP form"))?;
            let (parts, body) = request.into_parts();
            // Bodies are small and in memory: bundles and settings, never streams.
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| not_sent("the request has a streaming body"))?;
            this.statistics.count();
            let answer = this
                .transport
                .call(http::Request::from_parts(parts, body))
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Our clock as the S3 client wants it.
#[derive(Clone)]
pub(super) struct Clock(pub(super) Now);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let millis = u64::try_from((self.0)().0).unwrap_or(0);
        UNIX_EPOCH + Duration::from_millis(millis)
    }
}
