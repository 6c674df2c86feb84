//! Requests from pages of other origins.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{CorsConfiguration, CorsRule};

use super::super::Spaces;
use super::super::testkit::send_with;
use super::{bucket, put};

const URL: &str = "http://127.0.0.1:9000/demo/k";

fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
    let owned = |all: &[&str]| Some(all.iter().map(|one| (*one).to_owned()).collect());
    CorsRule::builder()
        .set_allowed_origins(owned(origins))
        .set_allowed_methods(owned(methods))
        .set_allowed_headers(owned(headers))
        .expose_headers("ETag")
        .max_age_seconds(300)
        .build()
        .unwrap()
}

fn rules(all: &[CorsRule]) -> CorsConfiguration {
    let configuration = CorsConfiguration::builder();
    configuration
        .set_cors_rules(Some(all.to_vec()))
        .build()
        .unwrap()
}

/// Status, allowed origin, methods and headers of an answer to a preflight.
async fn preflight(spaces: &Spaces, origin: &str, method: &str, headers: &str) -> [String; 4] {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    let answer = send_with(spaces, "OPTIONS", URL, &asked, b"").await;
    let header = |name: &str| {
        let value = answer.headers().get(format!("access-control-allow-{name}"));
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    [
        answer.status().as_str().to_owned(),
        header("origin"),
        header("methods"),
        header("headers"),
    ]
}

#[tokio::test]
async fn preflights_are_answered_by_the_first_rule_that_fits() {
    let (_, spaces, s3) = bucket("demo").await;
    let site = "https://www.example.com";
    assert_eq!(
        preflight(&spaces, site, "GET", "").await,
        ["403", "", "", ""]
    );
    let all = rules(&[
        rule(
            &["https://*.example.com"],
            &["PUT"],
            &["Content-Type", "x-amz-*"],
        ),
        rule(&["*"], &["GET", "PUT"], &[]),
    ]);
    ok!(s3.put_bucket_cors().bucket("demo").cors_configuration(all));
    let cases = [
        (
            site,
            "PUT",
            "content-type, X-Amz-Date",
            ["200", site, "PUT", "content-type,x-amz-date"],
        ),
        (site, "PUT", "authorization", ["403", "", "", ""]),
        ("https://example.com", "PUT", "", ["200", "*", "PUT", ""]),
        (
            "https://example.com",
            "PUT",
            "x-amz-date",
            ["403", "", "", ""],
        ),
        (site, "DELETE", "", ["403", "", "", ""]),
        ("null", "GET", "", ["200", "*", "GET", ""]),
    ];
    for (origin, method, headers, expected) in cases {
        let found = preflight(&spaces, origin, method, headers).await;
        assert_eq!(found, expected, "{origin} {method} {headers}");
    }
    let bare = send_with(&spaces, "OPTIONS", URL, &[("origin", site)], b"").await;
    assert_eq!(bare.status(), 400);
}

#[tokio::test]
async fn answers_to_a_matching_origin_are_marked_also_when_they_refuse() {
    let (_, spaces, s3) = bucket("demo").await;
    put(&s3, "demo", "k", "x").await;
    let site = "https://www.example.com";
    let all = rules(&[rule(&[site], &["GET"], &[])]);
    ok!(s3.put_bucket_cors().bucket("demo").cors_configuration(all));
    let cases = [
        ("GET", site, Some(site)),
        ("PUT", site, None),
        ("GET", "https://else.where", None),
    ];
    for (method, origin, expected) in cases {
        let answer = send_with(&spaces, method, URL, &[("origin", origin)], b"").await;
        assert_eq!(answer.status(), 403, "nothing is signed");
        let headers = answer.headers();
        let allowed = headers.get("access-control-allow-origin");
        assert_eq!(allowed.map(|origin| origin.to_str().unwrap()), expected);
        assert_eq!(headers.contains_key("vary"), expected.is_some());
        assert_eq!(
            headers.contains_key("access-control-expose-headers"),
            expected.is_some()
        );
    }
}

#[tokio::test]
async fn rules_that_mean_nothing_are_refused() {
    let (_, _, s3) = bucket("demo").await;
    let cases = [
        rule(&["*"], &["PATCH"], &[]),
        rule(&["https://*.*.com"], &["GET"], &[]),
        rule(&["*"], &["GET"], &["x-*-*"]),
    ];
    for case in cases {
        let put = s3.put_bucket_cors().bucket("demo");
        assert_eq!(
            code!(put.cors_configuration(rules(&[case]))),
            "InvalidRequest"
        );
    }
}
