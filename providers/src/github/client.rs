//! The way to GitHub's API: token, version, bounded retries of what is safe to repeat.

use super::errors::{Asked, from_answer, from_transport};
use crate::http::{HttpEvent, Now, OnEvent, Transport, TransportError};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use kplan_model::{ErrorKind, ProviderError, Secret, Tried};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How often one call is made at most.
const ATTEMPTS: u32 = 4;
/// The first pause before a call is made again; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A longer wait is not sat out here: the error goes up and says how long. GitHub asks for a
/// minute where it names no time.
const LONGEST_WAIT: Duration = Duration::from_secs(90);
/// The version of the REST API that this client was written for.
const VERSION: &str = "2022-11-28";

/// What a client is made of.
pub struct GitHubConfig {
    /// Where the REST API is: `https://api.github.com`, or `https://HOST/api/v3` of an
    /// Enterprise Server.
    pub api_url: String,
    /// Where the GraphQL API is; nothing for the place that belongs to `api_url`.
    pub graphql_url: Option<String>,
    /// The token.
    pub token: Secret,
    /// Carries the requests.
    pub transport: Arc<dyn Transport>,
    /// The current moment.
    pub now: Now,
    /// Hears of waits and retries.
    pub on_event: Option<OnEvent>,
}

/// GitHub's API with one token.
pub struct GitHub {
    api: String,
    graphql: String,
    token: Secret,
    transport: Arc<dyn Transport>,
    now: Now,
    on_event: Option<OnEvent>,
}

/// One call.
pub(super) struct Call<'a> {
    /// The method.
    pub(super) method: Method,
    /// Path and query below the API's address; or the whole address.
    pub(super) path: &'a str,
    /// The body.
    pub(super) body: Option<Value>,
    /// Whether it changes nothing, so that it may be made again.
    pub(super) reads: bool,
}

impl<'a> Call<'a> {
    /// A GET.
    pub(super) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            reads: true,
        }
    }
}

impl GitHub {
    /// A client.
    ///
    /// # Errors
    /// An address that is none, or that would carry the token over the network in plain text.
    pub fn new(config: GitHubConfig) -> Result<Self, ProviderError> {
        let api = config.api_url.trim_end_matches('/').to_owned();
        let graphql = config.graphql_url.unwrap_or_else(|| graphql_of(&api));
        safe(&api)?;
        safe(&graphql)?;
        Ok(Self {
            api,
            graphql,
            token: config.token,
            transport: config.transport,
            now: config.now,
            on_event: config.on_event,
        })
    }

    /// Where the GraphQL API is.
    pub(super) fn graphql(&self) -> &str {
        &self.graphql
    }

    /// Makes a call until it is answered, as often as that is safe.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response<Bytes>, ProviderError> {
        let asked = Asked {
            method: &call.method,
            path: self.path_of(call),
            reads: call.reads,
        };
        let began = tokio::time::Instant::now();
        let mut attempt = 1;
        loop {
            let (error, again) = match self.transport.call(self.request(call)?).await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) => (from_answer(asked, &answer, (self.now)()), false),
                Err(lost) => {
                    let not_sent = matches!(lost, TransportError::NotSent(_));
                    (from_transport(asked, &lost), not_sent)
                }
            };
            // A refusal for the rate limit and a connection that was never made changed nothing.
            let again = again
                || error.kind == ErrorKind::Throttled
                || (call.reads && error.kind == ErrorKind::Transient);
            let wait = error.retry_after.map_or_else(
                || FIRST_PAUSE * 2_u32.pow(attempt - 1),
                |seconds| Duration::from_secs(u64::from(seconds)),
            );
            if !again || attempt >= ATTEMPTS || wait > LONGEST_WAIT {
                let mut error = self.redact(error);
                error.tried = (attempt > 1).then(|| Tried::new(attempt, began.elapsed()));
                return Err(error);
            }
            if error.kind == ErrorKind::Throttled {
                self.tell(HttpEvent::Limited {
                    wait,
                    refused: true,
                });
            } else {
                self.retrying(wait, &asked.name(), &error);
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Tells that something is made again.
    pub(super) fn retrying(&self, wait: Duration, what: &str, error: &ProviderError) {
        self.tell(HttpEvent::Retrying {
            wait,
            what: what.to_owned(),
            why: self.redact(error.clone()).message,
        });
    }

    fn tell(&self, event: HttpEvent) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }

    /// The path for messages, without the API's address.
    fn path_of<'a>(&self, call: &Call<'a>) -> &'a str {
        let path = call.path;
        let address = path.strip_prefix(&self.api).unwrap_or(path);
        address.split('?').next().unwrap_or(address)
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Bytes>, ProviderError> {
        let uri = if call.path.starts_with('/') {
            format!("{}{}", self.api, call.path)
        } else {
            call.path.to_owned()
        };
        let body = call.body.as_ref().map(Value::to_string);
        let mut request = Request::builder().method(call.method.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            self.headers(headers, body.is_some())?;
        }
        let body = Bytes::from(body.unwrap_or_default());
        request.body(body).map_err(|_| no_address(&self.api))
    }

    fn headers(&self, headers: &mut HeaderMap, body: bool) -> Result<(), ProviderError> {
        let token = self.token.expose().unwrap_or_default();
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
            ProviderError::new(
                ErrorKind::Denied,
                "the GitHub token has characters that no token has",
            )
            .help("check the source of GITHUB_TOKEN: a line break or a quote too many?")
        })?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
        let json = HeaderValue::from_static("application/json");
        let accept = HeaderValue::from_static("application/vnd.github+json");
        headers.insert(header::ACCEPT, accept);
        let agent = HeaderValue::from_static(concat!("kplan/", env!("CARGO_PKG_VERSION")));
        // Requests without one are refused.
        headers.insert(header::USER_AGENT, agent);
        headers.insert("x-github-api-version", HeaderValue::from_static(VERSION));
        if body {
            headers.insert(header::CONTENT_TYPE, json);
        }
        Ok(())
    }

    /// No message ever holds the token, whatever a remote side or a proxy echoes.
    fn redact(&self, mut error: ProviderError) -> ProviderError {
        if let Some(token) = self.token.expose().filter(|token| !token.is_empty()) {
            error.message = error.message.replace(token, "(token)");
        }
        error
    }
}

/// Beside `…/api/v3` of an Enterprise Server, else below the API's own address.
fn graphql_of(api: &str) -> String {
    match api.strip_suffix("/v3") {
        Some(server) => format!("{server}/graphql"),
        None => format!("{api}/graphql"),
    }
}

/// The token goes over TLS, or stays on this machine.
fn safe(address: &str) -> Result<(), ProviderError> {
    let uri: http::Uri = address.parse().map_err(|_| no_address(address))?;
    let host = uri.host().ok_or_else(|| no_address(address))?;
    let here = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if here => Ok(()),
        Some("http") => {
            let message = format!("the token would go to {host} in plain text");
            Err(ProviderError::new(ErrorKind::Invalid, message)
                .help("GITHUB_API_URL and GITHUB_GRAPHQL_URL begin with https://"))
        }
        _ => Err(no_address(address)),
    }
}

fn no_address(address: &str) -> ProviderError {
    let message = format!("`{address}` is not the address of an API");
    ProviderError::new(ErrorKind::Invalid, message).help(
        "GITHUB_API_URL looks like https://api.github.com, or https://HOST/api/v3 of an Enterprise \
         Server",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_lies_where_github_and_an_enterprise_server_have_it() {
        let of = graphql_of("https://api.github.com");
        assert_eq!(of, "https://api.github.com/graphql");
        let of = graphql_of("https://git.acme.example/api/v3");
        assert_eq!(of, "https://git.acme.example/api/graphql");
    }

    #[test]
    fn a_token_goes_over_tls_or_stays_here() {
        for good in [
            "https://api.github.com",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/api/v3",
        ] {
            assert_eq!(safe(good), Ok(()), "{good}");
        }
        for bad in [
            "http://git.acme.example",
            "http://127.0.0.1.acme.example",
            "git.acme.example",
            "/api/v3",
            "ftp://git.acme.example",
            "",
        ] {
            assert!(safe(bad).is_err(), "{bad}");
        }
    }
}
