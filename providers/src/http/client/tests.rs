//! What the client repeats, what it never repeats, and what it says.

use super::*;
use crate::http::testing::{Script, empty, json, permit};
use crate::http::transport::TransportError;
use serde_json::{Value, json as value};

fn ok() -> Response<Bytes> {
    json(200, &value!({ "ok": true }))
}

fn failing(status: u16) -> Response<Bytes> {
    json(
        status,
        &value!({ "id": "x", "message": "nope dop_v1_secret" }),
    )
}

fn lost() -> Result<Response<Bytes>, TransportError> {
    Err(TransportError::Lost("connection reset".to_owned()))
}

fn not_sent() -> Result<Response<Bytes>, TransportError> {
    Err(TransportError::NotSent("connection refused".to_owned()))
}

async fn get(script: &Script) -> Result<Value, ProviderError> {
    script.client().get("/v2/things").await
}

async fn post(script: &Script) -> Result<Value, ProviderError> {
    let permit = permit();
    script
        .client()
        .change(
            &permit,
            &Method::POST,
            "/v2/things",
            &value!({ "name": "a" }),
        )
        .await
}

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_a_bounded_number_of_times() {
    let script = Script::outcomes([Ok(failing(500)), lost(), Ok(failing(503)), Ok(ok())]);
    assert!(get(&script).await.is_ok());
    assert_eq!(script.calls().len(), 4);

    let script = Script::new(|_| Ok(failing(500)));
    let error = get(&script).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    assert_eq!(script.calls().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_is_never_repeated() {
    for outcome in [lost(), Ok(failing(500)), Ok(failing(502)), Ok(failing(504))] {
        let script = Script::outcomes([outcome]);
        assert_eq!(
            post(&script).await.unwrap_err().kind,
            ErrorKind::OutcomeUnknown
        );
        assert_eq!(script.calls().len(), 1);
    }
    // Answered with success, but not readable: it happened, we do not know what.
    let script = Script::outcomes([Ok(empty(201))]);
    assert_eq!(
        post(&script).await.unwrap_err().kind,
        ErrorKind::OutcomeUnknown
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_that_was_not_made_is_repeated() {
    let mut throttled = failing(429);
    throttled
        .headers_mut()
        .insert("retry-after", HeaderValue::from_static("7"));
    let script = Script::outcomes([not_sent(), Ok(throttled), Ok(ok())]);
    let start = tokio::time::Instant::now();
    assert!(post(&script).await.is_ok());
    assert_eq!(script.calls().len(), 3);
    assert!(start.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_goes_up_instead_of_being_sat_out() {
    let mut throttled = failing(429);
    let reset = HeaderValue::from_static("1700003000");
    throttled.headers_mut().insert("ratelimit-reset", reset);
    let script = Script::outcomes([Ok(throttled)]);
    let error = get(&script).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry_after),
        (ErrorKind::Throttled, Some(3001))
    );
}

#[tokio::test]
async fn the_token_is_sent_and_never_told() {
    let script = Script::new(|request| {
        assert_eq!(request.headers()["authorization"], "Bearer dop_v1_secret");
        assert_eq!(request.uri().host(), Some("api.example"));
        assert!(
            request.headers()["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("kplan/")
        );
        Ok(failing(422))
    });
    let error = post(&script).await.unwrap_err();
    assert_eq!(
        error.message,
        "POST /v2/things was refused with status 422: nope (token)"
    );
}

#[tokio::test]
async fn gone_is_fine_when_it_is_to_go() {
    let script = Script::answers([failing(404)]);
    let deleted = script.client().delete(&permit(), "/v2/things/1").await;
    assert_eq!(deleted, Ok(()));
    let script = Script::answers([failing(404)]);
    let read: Option<Value> = script.client().get_optional("/v2/things/1").await.unwrap();
    assert_eq!(read, None);
}

#[tokio::test]
async fn an_unreadable_answer_quotes_nothing_of_it() {
    #[derive(Debug, serde::Deserialize)]
    struct Password {
        #[expect(dead_code, reason = "only its shape matters")]
        password: u32,
    }
    let script = Script::answers([json(200, &value!({ "password": "hunter2" }))]);
    let error = script
        .client()
        .get::<Password>("/v2/things?x=1")
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Bug);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn waits_are_told() {
    let events = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let script = Script::outcomes([Ok(failing(503)), Ok(ok())]);
    let client = Client::new(ClientConfig {
        on_event: Some(Arc::new(move |event| heard.lock().unwrap().push(event))),
        ..script.config()
    });
    let _body: Value = client.get("/v2/things?page=1").await.unwrap();
    let events = events.lock().unwrap();
    let [HttpEvent::Retrying { what, wait, .. }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(what, "GET /v2/things");
    assert!((250..=500).contains(&wait.as_millis()), "{wait:?}");
}

#[tokio::test]
async fn every_request_is_counted() {
    let script = Script::new(|_| Ok(ok()));
    let config = script.config();
    let statistics = Arc::clone(&config.statistics);
    let client = Client::new(config);
    for _ in 0..3 {
        let _body: Value = client.get("/v2/things").await.unwrap();
    }
    assert_eq!(statistics.api_calls(), 3);
}
