//! Keeps secrets out of reports: decides what may be one, and masks it in the text that snippets
//! are cut from. Masking keeps every byte offset and every line break.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

use crate::span::Span;

/// Beginnings of tokens that services give out. A text with one of these is a secret wherever it
/// stands.
const TOKEN_PREFIXES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "dop_v1_",
    "doo_v1_",
    "dor_v1_",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AGE-SECRET-KEY-",
    "sk_live_",
    "eyJhbGciOi",
];

/// Shortest run of token characters behind a prefix that makes it a token and not a mention.
const MIN_TOKEN_TAIL: usize = 8;

/// Words in a key that say its value is secret.
const SECRET_WORDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "private_key",
    "privatekey",
    "api_key",
    "apikey",
    "access_key",
    "credential",
];

/// Keys whose spelling slips are taken for secrets, too.
const NEARLY_SECRET: &[&str] = &["token", "secret", "password", "private_key", "credentials"];

/// Tables that hold nothing but secret sources.
const SECRET_TABLES: &[&str] = &["cloud_controller", "github_app"];

/// Keys of a secret source; what stands behind them names a place and is shown.
const SOURCE_KEYS: &[&str] = &["env", "file", "command", "id", "installation_id"];

/// Whether the text is, or contains, something only a secret looks like.
pub(crate) fn looks_secret(text: &str) -> bool {
    !secret_ranges(text).is_empty()
}

/// The text with everything that only a secret looks like replaced by asterisks.
pub(crate) fn mask_tokens(text: &str) -> Cow<'_, str> {
    let ranges = secret_ranges(text);
    if ranges.is_empty() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(mask(text, &ranges))
    }
}

/// The text with the given spans, and everything that only a secret looks like, masked.
pub(crate) fn mask_source(text: &str, spans: &[Span]) -> String {
    let mut ranges = secret_ranges(text);
    ranges.extend_from_slice(spans);
    mask(text, &ranges)
}

fn mask(text: &str, ranges: &[Span]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for range in ranges {
        let end = range.end.min(bytes.len());
        let start = range.start.min(end);
        if !text.is_char_boundary(start) || !text.is_char_boundary(end) {
            continue;
        }
        for byte in bytes.iter_mut().take(end).skip(start) {
            if !matches!(*byte, b'\n' | b'\r') {
                *byte = b'*';
            }
        }
    }
    // Whole characters were replaced by ASCII, so this never has anything to repair.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Where the text holds something only a secret looks like. Linear in the text: no byte is looked
/// at again after it was taken.
fn secret_ranges(text: &str) -> Vec<Span> {
    let mut ranges = Vec::new();
    for prefix in TOKEN_PREFIXES {
        tokens(text, prefix, &mut ranges);
    }
    private_keys(text, &mut ranges);
    url_credentials(text, &mut ranges);
    ranges
}

fn tokens(text: &str, prefix: &str, ranges: &mut Vec<Span>) {
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(prefix)) {
        let start = from + found;
        let tail = text.get(start + prefix.len()..).unwrap_or_default();
        let length = tail.bytes().take_while(|b| is_token_byte(*b)).count();
        from = start + prefix.len() + length;
        // A prefix of letters only also occurs inside longer words, such as a key's base64.
        let inside = start.checked_sub(1).and_then(|i| text.as_bytes().get(i));
        let word = prefix.ends_with(['_', '-']) || !inside.is_some_and(u8::is_ascii_alphanumeric);
        if word && length >= MIN_TOKEN_TAIL {
            ranges.push(Span::new(start, from));
        }
    }
}

fn private_keys(text: &str, ranges: &mut Vec<Span>) {
    const BEGIN: &str = "-----BEGIN ";
    /// Longest name of a kind of key in a PEM header.
    const MAX_HEADER: usize = 64;
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find(BEGIN)) {
        let start = from + found;
        from = start + BEGIN.len();
        let header = text.as_bytes().get(from..text.len().min(from + MAX_HEADER));
        let header = String::from_utf8_lossy(header.unwrap_or_default());
        if !header
            .lines()
            .next()
            .is_some_and(|line| line.contains("PRIVATE KEY"))
        {
            continue;
        }
        let rest = text.get(start..).unwrap_or_default();
        let length = rest.find("-----END ").map_or(rest.len(), |end| {
            let footer = rest.get(end..).unwrap_or_default();
            end + footer.find(['\n', '"', '\'']).unwrap_or(footer.len())
        });
        from = start + length;
        ranges.push(Span::new(start, from));
    }
}

/// `user:password@` in addresses, and whatever stands before the `@` of an HTTP address.
fn url_credentials(text: &str, ranges: &mut Vec<Span>) {
    for (found, mark) in text.match_indices("://") {
        let start = found + mark.len();
        let authority = text.get(start..).unwrap_or_default();
        let end = |stops: &[u8]| {
            let bytes = authority.bytes().take(MAX_AUTHORITY);
            let inside = |b: &u8| !b.is_ascii_whitespace() && !stops.contains(b);
            bytes.take_while(inside).count()
        };
        let mut length = end(b"/\"'");
        // A slash ends a host and its port, and may stand in a password.
        let host = authority.get(..length).unwrap_or_default();
        let password = host.split_once(':').map(|(_, rest)| rest);
        if password.is_some_and(|rest| !rest.bytes().all(|b| b.is_ascii_digit())) {
            length = end(b"\"'");
        }
        let bytes = authority.as_bytes().get(..length).unwrap_or_default();
        let Some(at) = bytes.iter().rposition(|b| *b == b'@') else {
            continue;
        };
        let scheme = text.get(..found).unwrap_or_default();
        let user = bytes.get(..at).unwrap_or_default();
        if user.contains(&b':') || scheme.ends_with("https") || scheme.ends_with("http") {
            ranges.push(Span::new(start, start + at));
        }
    }
}

/// Longest user, password and host of an address that is looked through, in bytes.
const MAX_AUTHORITY: usize = 512;

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=')
}

/// Whether a key's name says that its value is secret, spelling slips included.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    if matches!(lower.as_str(), "public_key" | "ssh_key") {
        return false;
    }
    SECRET_WORDS.iter().any(|word| lower.contains(word))
        || (lower.len() <= 16
            && NEARLY_SECRET.iter().any(|word| {
                word.len().abs_diff(lower.len()) <= 1 && strsim::osa_distance(word, &lower) <= 1
            }))
}

/// Spans of every value in the tree that stands where a secret may have been typed.
pub(crate) fn literal_spans(root: &DeTable<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    walk_table(root, false, &mut spans);
    spans
}

// The depth is bounded by the parser's own limit on nesting.
fn walk_table(table: &DeTable<'_>, secret: bool, spans: &mut Vec<Span>) {
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        let secret_here = secret || is_secret_key(key) || SECRET_TABLES.contains(&key);
        match value.get_ref() {
            DeValue::Table(inner) => walk_table(inner, secret_here, spans),
            DeValue::Array(items) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(inner) => walk_table(inner, secret_here, spans),
                        _ if secret_here && !SOURCE_KEYS.contains(&key) => {
                            spans.push(item.span().into());
                        }
                        _ => {}
                    }
                }
            }
            DeValue::Boolean(_) => {}
            DeValue::String(text)
                if secret_here && key == "env" && crate::value::env_name(text).is_err() =>
            {
                spans.push(value.span().into());
            }
            DeValue::String(_) if SOURCE_KEYS.contains(&key) => {}
            DeValue::Integer(_) if matches!(key, "id" | "installation_id") => {}
            _ if secret_here => spans.push(value.span().into()),
            _ => {}
        }
    }
}

/// For text that is not TOML, so that no tree shows where values begin and end: everything behind
/// the `=` of lines that name something secret, up to the end of a multi-line string.
pub(crate) fn secret_lines(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut open: Option<&str> = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let end = offset + line.len();
        if let Some(delimiter) = open {
            spans.push(Span::new(offset, end));
            if line.contains(delimiter) {
                open = None;
            }
        } else if let Some((key, value)) = line.split_once('=')
            && (is_secret_key(key.trim()) || value.split('=').count() > 1 && mentions_secret(line))
        {
            spans.push(Span::new(offset + key.len() + 1, end));
            open = ["\"\"\"", "'''"]
                .into_iter()
                .find(|delimiter| value.matches(delimiter).count() % 2 == 1);
        }
        offset = end;
    }
    spans
}

fn mentions_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_tokens_and_keeps_offsets() {
        let text = "a = \"ghp_0123456789abcdef\"\nb = \"é\"\n";
        let masked = mask_source(text, &[]);
        assert_eq!(masked.len(), text.len());
        assert!(!masked.contains("0123456789"), "{masked}");
        assert_eq!(masked.find("b ="), text.find("b ="));
        assert!(masked.contains('é'));
    }

    #[test]
    fn a_mention_of_a_prefix_is_no_token() {
        assert_eq!(
            mask_tokens("tokens start with ghp_ or glpat-"),
            "tokens start with ghp_ or glpat-"
        );
        assert!(!looks_secret("GITHUB_TOKEN"));
        assert!(looks_secret("Authorization: dop_v1_0123456789abcdef"));
    }

    #[test]
    fn masks_credentials_in_addresses_only() {
        assert_eq!(mask_tokens("https://me:pw@h/a"), "https://*****@h/a");
        assert_eq!(mask_tokens("https://token@h/a"), "https://*****@h/a");
        for public in [
            "ssh://git@h/a",
            "git@h:a",
            "https://h/a@b",
            "https://h:8443/a",
        ] {
            assert_eq!(mask_tokens(public), public);
        }
    }

    #[test]
    fn masks_whole_private_keys_but_not_certificates() {
        let key = "x\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\ny";
        let masked = mask_source(key, &[]);
        assert!(
            !masked.contains("AAAA") && !masked.contains("BBBB"),
            "{masked}"
        );
        assert!(masked.starts_with("x\n") && masked.ends_with("\ny"));
        assert_eq!(masked.matches('\n').count(), key.matches('\n').count());
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        assert_eq!(mask_source(certificate, &[]), certificate);
        let open = "-----BEGIN PRIVATE KEY-----\nAAAA";
        assert!(!mask_source(open, &[]).contains("AAAA"));
    }

    #[test]
    fn spelling_slips_of_secret_keys_count() {
        for key in [
            "token",
            "tokn",
            "do_token",
            "Password",
            "pasword",
            "secret_key",
            "apiKey",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "public_key",
            "ssh_key",
            "name",
            "taken_names",
            "region",
            "taints",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn broken_text_loses_what_stands_behind_secret_keys() {
        let text = "[x]\ntoken = \"hunter2\nname = \"a\"\ncredentials = { token = \"hunter2\" \n\
                    password = \"\"\"\nhunter2\n\"\"\"\nsize = 1\n";
        let masked = mask_source(text, &secret_lines(text));
        assert!(!masked.contains("hunter2"), "{masked}");
        assert!(masked.contains("name = \"a\"") && masked.contains("size = 1"));
    }
}
