//! Texts that stand for other texts: base64, and gzip in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use std::io::Read as _;

/// What is decoded has no more bytes than these, 1 MiB: a Secret or `ConfigMap` holds no more, and
/// a few kilobytes of gzip could become gigabytes.
const MAX_DECODED: usize = 1024 * 1024;
/// Shorter texts are taken for words: 24 characters that are no base64 hardly ever decode to 18
/// bytes of readable text.
const SHORTEST: usize = 24;
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What the whole text stands for, and how it is encoded, if it is.
pub(super) fn decoded(text: &str) -> Option<(&'static str, String)> {
    let bytes = base64(text, SHORTEST)?;
    if bytes.starts_with(&GZIP) {
        return Some(("gzip in base64", readable(gunzip(&bytes)?)?));
    }
    Some(("base64", readable(bytes)?))
}

/// What a `content` of cloud-init's `write_files` stands for, by its `encoding`.
pub(super) fn content(encoding: &str, text: &str) -> Option<(&'static str, String)> {
    let zipped = match encoding {
        "b64" | "base64" => false,
        // Without base64 it can only stand in YAML as `!!binary`, which is base64.
        "gz" | "gzip" | "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => true,
        _ => return None,
    };
    let bytes = base64(text, 0)?;
    if zipped {
        Some(("gzip in base64", readable(gunzip(&bytes)?)?))
    } else {
        Some(("base64", readable(bytes)?))
    }
}

fn base64(text: &str, shortest: usize) -> Option<Vec<u8>> {
    // Base64 makes four characters of three bytes; the rest is for line ends.
    if text.len() > MAX_DECODED / 2 * 3 {
        return None;
    }
    let solid: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    if solid.len() < shortest {
        return None;
    }
    STANDARD.decode(solid).ok()
}

fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let bound = MAX_DECODED as u64 + 1;
    let mut reader = MultiGzDecoder::new(bytes).take(bound);
    reader.read_to_end(&mut out).ok()?;
    (out.len() <= MAX_DECODED).then_some(out)
}

/// Bytes as text, if people can read it.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.contains(odd)).then_some(text)
}
