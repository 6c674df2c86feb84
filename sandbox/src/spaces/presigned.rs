//! Presigned URLs (AWS Signature Version 4 in the query), judged by the sandbox's clock.
//!
//! The protocol library would judge their age by the machine's clock, which says nothing when the
//! sandbox runs on a clock of its own.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::{HeaderMap, Method, Uri};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use s3s::{S3Error, S3Result, s3_error};
use sha2::{Digest as _, Sha256};

/// Longest life of a presigned URL in seconds (seven days, as everywhere in S3).
const MAX_EXPIRES: u64 = 604_800;
/// The query fields that make the signature.
const SIGNATURE_FIELDS: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
];
/// How far a signer's clock may be off before a signature is refused.
pub(super) const MAX_SKEW: Duration = Duration::from_mins(15);

/// A credential scope: `<key>/<date>/<region>/s3/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub access_key: String,
    pub date: String,
    pub region: String,
}

impl Scope {
    /// Parses the value of `Credential`.
    pub(super) fn parse(credential: &str) -> Option<Scope> {
        let mut parts = credential.rsplitn(5, '/');
        let (terminator, service) = (parts.next()?, parts.next()?);
        let (region, date, access_key) = (parts.next()?, parts.next()?, parts.next()?);
        (terminator == "aws4_request" && service == "s3").then(|| Scope {
            access_key: access_key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
        })
    }
}

/// Parses `20260102T030405Z`.
pub(super) fn parse_amz_date(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    civil
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// A request whose signature is in its query.
pub(super) struct Presigned {
    pub scope: Scope,
    query: Vec<(String, String)>,
    signed: Timestamp,
    signed_text: String,
    expires: u64,
    signed_headers: Vec<String>,
    signature: String,
}

impl Presigned {
    /// Reads the signature out of a query; `None` when the request is not presigned.
    pub(super) fn parse(uri: &Uri) -> Option<S3Result<Presigned>> {
        let query = parse_query(uri.query().unwrap_or_default());
        let get = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        let signature = get("X-Amz-Signature")?;
        let fields = (|| {
            let algorithm = get("X-Amz-Algorithm")?;
            let scope = Scope::parse(&get("X-Amz-Credential")?)?;
            let signed_text = get("X-Amz-Date")?;
            let signed = parse_amz_date(&signed_text)?;
            let expires: u64 = get("X-Amz-Expires")?.parse().ok()?;
            let signed_headers = get("X-Amz-SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect();
            (algorithm == "AWS4-HMAC-SHA256"
                && expires <= MAX_EXPIRES
                && signed_text.starts_with(&scope.date))
            .then_some((scope, signed_text, signed, expires, signed_headers))
        })();
        let Some((scope, signed_text, signed, expires, signed_headers)) = fields else {
            return Some(Err(s3_error!(
                AuthorizationQueryParametersError,
                "the presigned URL needs X-Amz-Algorithm=AWS4-HMAC-SHA256, X-Amz-Credential for the \
                 service s3, X-Amz-Date of the same day, X-Amz-Expires up to {MAX_EXPIRES} and \
                 X-Amz-SignedHeaders"
            )));
        };
        Some(Ok(Presigned {
            scope,
            query,
            signed,
            signed_text,
            expires,
            signed_headers,
            signature,
        }))
    }

    /// Checks the age of the URL, then its signature with the secret of its key.
    pub(super) fn verify(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        secret: &str,
        now: Timestamp,
    ) -> S3Result<()> {
        let age = now.duration_since(self.signed).as_secs();
        if age < -i64::try_from(MAX_SKEW.as_secs()).unwrap_or(i64::MAX) {
            return Err(s3_error!(
                RequestTimeTooSkewed,
                "the URL is signed for a time in the future"
            ));
        }
        if age > i64::try_from(self.expires).unwrap_or(i64::MAX) {
            return Err(s3_error!(AccessDenied, "Request has expired"));
        }
        let canonical = self.canonical_request(method, uri, headers)?;
        let scope = format!("{}/{}/s3/aws4_request", self.scope.date, self.scope.region);
        let text = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.signed_text,
            sha256_hex(canonical.as_bytes())
        );
        let key = signing_key(secret, &self.scope);
        let signature = from_hex(&self.signature).ok_or_else(mismatch)?;
        hmac::verify(&key, text.as_bytes(), &signature).map_err(|_unspecified| mismatch())
    }

    fn canonical_request(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> S3Result<String> {
        let mut pairs: Vec<(String, String)> = self
            .query
            .iter()
            .filter(|(key, _)| key != "X-Amz-Signature")
            .map(|(key, value)| (percent_encode(key, false), percent_encode(value, false)))
            .collect();
        pairs.sort();
        let query: Vec<String> = pairs
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let path = percent_encode(&percent_decode(uri.path()), true);
        let mut text = format!("{method}\n{path}\n{}\n", query.join("&"));
        for name in &self.signed_headers {
            let values: Vec<&str> = headers
                .get_all(name.as_str())
                .iter()
                .filter_map(|value| value.to_str().ok())
                .map(str::trim)
                .collect();
            if values.is_empty() {
                return Err(s3_error!(
                    AccessDenied,
                    "the signed header {name} is not in the request"
                ));
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}:{}", values.join(","));
        }
        let _ = write!(
            text,
            "\n{}\nUNSIGNED-PAYLOAD",
            self.signed_headers.join(";")
        );
        Ok(text)
    }

    /// The request's address without the signature, for the protocol library.
    pub(super) fn stripped(&self, uri: &Uri) -> S3Result<Uri> {
        let kept: Vec<String> = self
            .query
            .iter()
            .filter(|(key, _)| !SIGNATURE_FIELDS.contains(&key.as_str()))
            .map(|(key, value)| {
                format!(
                    "{}={}",
                    percent_encode(key, false),
                    percent_encode(value, false)
                )
            })
            .collect();
        let target = if kept.is_empty() {
            uri.path().to_owned()
        } else {
            format!("{}?{}", uri.path(), kept.join("&"))
        };
        target.parse().map_err(|_invalid| s3_error!(InvalidURI))
    }
}

fn mismatch() -> S3Error {
    s3_error!(
        SignatureDoesNotMatch,
        "The request signature we calculated does not match the signature you provided. Check your key and \
         signing method."
    )
}

pub(super) fn signing_key(secret: &str, scope: &Scope) -> hmac::Key {
    let step = |key: &[u8], data: &str| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes());
        tag.as_ref().to_vec()
    };
    let date = step(format!("AWS4{secret}").as_bytes(), &scope.date);
    let service = step(&step(&date, &scope.region), "s3");
    hmac::Key::new(hmac::HMAC_SHA256, &step(&service, "aws4_request"))
}

/// Lower-case hexadecimal SHA-256.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Refuses the older way to sign, in the header or in the query.
pub(super) fn refuse_version_2(uri: &Uri, headers: &HeaderMap) -> S3Result<()> {
    let header = headers.get(http::header::AUTHORIZATION);
    let header = header.and_then(|header| header.to_str().ok());
    if header.is_some_and(|header| header.starts_with("AWS "))
        || query_value(uri, "AWSAccessKeyId").is_some()
    {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox checks AWS Signature Version 4 only, in headers or in the query"
        ));
    }
    Ok(())
}

/// Refuses a body sent in chunks whose request is not signed in its headers: the protocol library
/// would take the chunks for the content.
pub(super) fn refuse_chunks_unless_signed(headers: &HeaderMap) -> S3Result<()> {
    let sent = headers.get("x-amz-content-sha256");
    let chunked = sent.is_some_and(|sent| sent.as_bytes().starts_with(b"STREAMING-"));
    if chunked && !headers.contains_key(http::header::AUTHORIZATION) {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox reads bodies in chunks only from requests that are signed in their headers"
        ));
    }
    Ok(())
}

/// The value of a field of a query.
pub(super) fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let fields = parse_query(uri.query().unwrap_or_default());
    let found = fields.into_iter().find(|(field, _)| field == name);
    found.map(|(_, value)| value)
}

fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(key), percent_decode(value))
        })
        .collect()
}

/// Undoes percent-encoding; sequences that are not UTF-8 become replacement characters.
pub(crate) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes everything but RFC 3986's unreserved characters (and slashes where kept).
pub(super) fn percent_encode(text: &str, keep_slash: bool) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut out, byte| {
            if byte.is_ascii_alphanumeric()
                || b"-_.~".contains(&byte)
                || (keep_slash && byte == b'/')
            {
                out.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_round_trips() {
        let text = "boot/sèrver 1+2=%/~";
        assert_eq!(percent_decode(&percent_encode(text, false)), text);
        assert_eq!(percent_encode("a/b c", true), "a/b%20c");
        assert_eq!(percent_decode("100%"), "100%");
    }

    #[test]
    fn dates_and_scopes_are_parsed_strictly() {
        assert_eq!(
            parse_amz_date("20260102T030405Z")
                .map(|t| t.to_string())
                .as_deref(),
            Some("2026-01-02T03:04:05Z")
        );
        assert_eq!(parse_amz_date("2026-01-02T03:04:05Z"), None);
        assert_eq!(
            Scope::parse("KEY/20260102/fra1/s3/aws4_request")
                .map(|s| s.region)
                .as_deref(),
            Some("fra1")
        );
        assert_eq!(Scope::parse("KEY/20260102/fra1/ec2/aws4_request"), None);
    }
}
