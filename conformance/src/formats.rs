//! String and number formats that `OpenAPI` uses and JSON Schema does not know.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// Whether `text` is an address and a prefix length that fits it, `10.0.0.0/16` or `fd00::/8`.
pub(crate) fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else {
        return false;
    };
    let bits = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    prefix.bytes().all(|b| b.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|p| p <= bits)
}

/// Whether `text` is standard base64 with padding (`format: byte`).
pub(crate) fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// Number formats as bounds: JSON Schema checks formats of strings only.
pub(crate) fn number_bounds(format: &str, out: &mut Map<String, Value>) {
    let (low, high) = match format {
        "int32" => (json!(i32::MIN), json!(i32::MAX)),
        "int64" => (json!(i64::MIN), json!(i64::MAX)),
        _ => return,
    };
    out.entry("minimum").or_insert(low);
    out.entry("maximum").or_insert(high);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidr_needs_an_address_and_a_fitting_prefix() {
        for good in ["10.10.10.0/24", "0.0.0.0/0", "::/0", "fd00::/128"] {
            assert!(is_cidr(good), "{good}");
        }
        for bad in [
            "10.10.10.0",
            "10.10.10.0/33",
            "10.10.10/24",
            "fd00::/129",
            "1.1.1.1/+8",
            "/8",
        ] {
            assert!(!is_cidr(bad), "{bad}");
        }
    }

    #[test]
    fn base64_needs_its_padding() {
        for good in ["", "aGk=", "aGkhIQ==", "ab+/"] {
            assert!(is_base64(good), "{good}");
        }
        for bad in ["aGk", "a===", "aG k", "aGk-"] {
            assert!(!is_base64(bad), "{bad}");
        }
    }
}
