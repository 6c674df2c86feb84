//! Whether a bucket's name is taken: asked without a key, because before the first apply there is none.

use super::Spaces;
use crate::http::encode;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use kplan_model::{ErrorKind, ProviderError};

impl Spaces {
    /// Whether there is a bucket of that name, whoever has it. Names are shared by everybody; whom it
    /// belongs to is told only to somebody with its key.
    ///
    /// `Transient` where nobody answered, or with something that says neither yes nor no.
    pub async fn is_taken(&self, region: &str, name: &str) -> Result<bool, ProviderError> {
        let address = format!("{}/{}", self.endpoint(region), encode(name));
        let request = Request::builder()
            .method(Method::HEAD)
            .uri(&address)
            .body(Bytes::new())
            .map_err(|_| unclear(name, "its address is none"))?;
        self.config.statistics.count();
        let answer = self.config.transport.call(request).await;
        let answer = answer.map_err(|error| unclear(name, &error.to_string()))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            // It is somebody's, who does not let everybody in; or it stands in another region.
            status if status.is_success() || status.is_redirection() => Ok(true),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Ok(true),
            status => Err(unclear(name, &format!("Spaces answered {status}"))),
        }
    }
}

fn unclear(name: &str, why: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Transient,
        format!("nobody could look whether the bucket's name {name} is taken: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use crate::http::testing::{Script, empty};
    use crate::spaces::{Spaces, SpacesConfig};
    use kplan_model::{ErrorKind, Timestamp};
    use std::sync::Arc;

    #[tokio::test]
    async fn only_a_name_that_nobody_has_is_free() {
        let answers = [404, 403, 200, 301, 503].map(empty);
        let script = Script::answers(answers);
        let spaces = Spaces::new(SpacesConfig {
            endpoint: None,
            keys: None,
            transport: Arc::new(script.clone()),
            statistics: Arc::default(),
            now: Arc::new(|| Timestamp(0)),
            scale: 1,
        });
        let mut found = Vec::new();
        for _ in 0..4 {
            found.push(spaces.is_taken("fra1", "acme").await);
        }
        assert_eq!(found, [Ok(false), Ok(true), Ok(true), Ok(true)]);
        let unclear = spaces.is_taken("fra1", "acme").await.unwrap_err();
        assert_eq!(unclear.kind, ErrorKind::Transient);
        assert_eq!(script.calls()[0], "HEAD /acme");
        assert_eq!(spaces.config.statistics.api_calls(), 5);
    }
}
