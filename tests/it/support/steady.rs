//! Transcripts without what differs from run to run: ids, digests, addresses, moments.

use crate::support::repository;

/// Compares a transcript with the one in `tests`; `UPDATE_GOLDEN=1` rewrites it.
#[track_caller]
pub(crate) fn golden(name: &str, content: &str) {
    let path = repository().join("tests").join(name);
    let content = steady(content);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let folder = path.parent().expect("it lies in one");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(path, content).expect("written");
        return;
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        before == content,
        "{name} changed; UPDATE_GOLDEN=1 rewrites it:\n{content}"
    );
}

/// The text with every such thing in the same words.
pub(crate) fn steady(text: &str) -> String {
    let text = without_pem(text);
    let text = after(&text, "127.0.0.1:", |c| c.is_ascii_digit(), "PORT");
    let text = after(
        &text,
        "ssh-ed25519 ",
        |c| !c.is_whitespace() && c != '"',
        "KEY",
    );
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_alphanumeric() {
            let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out.push_str(&steady_word(word));
            rest = after;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Keys and certificates, each by what it is.
fn without_pem(text: &str) -> String {
    let mut blocks = text.split("-----BEGIN ");
    let mut out = blocks.next().unwrap_or_default().to_owned();
    for block in blocks {
        let (label, rest) = block.split_once("-----").unwrap_or((block, ""));
        let end = format!("-----END {label}-----");
        let rest = rest.split_once(&end).map_or("", |(_, rest)| rest);
        out.push_str("PEM ");
        out.push_str(label);
        out.push_str(rest);
    }
    out
}

/// What stands behind a mark, as long as it is of that sort, by a word.
fn after(text: &str, mark: &str, sort: impl Fn(char) -> bool, word: &str) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(mark);
        let rest = part.trim_start_matches(&sort);
        if rest.len() < part.len() {
            out.push_str(word);
        }
        out.push_str(rest);
    }
    out
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '/')
}

fn steady_word(word: &str) -> String {
    if is_address(word) {
        return "IP".to_owned();
    }
    if is_moment(word) {
        return "MOMENT".to_owned();
    }
    // What is joined by other signs is looked at part by part.
    let parts = word.split_inclusive(['.', ':', '/']);
    parts.map(steady_part).collect()
}

fn steady_part(part: &str) -> String {
    let end = part.trim_end_matches(['.', ':', '/']).len();
    let (word, sign) = part.split_at(end);
    format!("{}{sign}", steady_name(word))
}

/// UUIDs, ids of droplets, digests, and the eight characters of an owner's id.
fn steady_name(word: &str) -> String {
    let hex = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    if lengths == [8, 4, 4, 4, 12] && word.split('-').all(hex) {
        return "UUID".to_owned();
    }
    let key = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
    if word.len() >= 16 && word.chars().all(key) {
        return "KEY".to_owned();
    }
    // A bucket that kplan names: `kplan-CLUSTER-OWNER-RANDOM`.
    if let (true, [_, _, _, last]) = (word.starts_with("kplan-"), &lengths[..]) {
        let known = &word[..word.len() - last - 1];
        return format!("{}-RANDOM", steady_name(known));
    }
    let parts = word.split('-').map(|part| match part.len() {
        8 | 12.. if hex(part) => "HEX",
        7.. if part.chars().all(|c| c.is_ascii_digit()) => "NUMBER",
        _ => part,
    });
    parts.collect::<Vec<_>>().join("-")
}

/// An IPv4 address, but no range: those are the file's.
fn is_address(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':']);
    word.split('.').count() == 4 && word.split('.').all(|part| part.parse::<u8>().is_ok())
}

/// `2026-11-29T23:20:00Z` and the like.
fn is_moment(word: &str) -> bool {
    let shape: String = word
        .chars()
        .take(11)
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T"
}

#[test]
fn only_what_differs_from_run_to_run_is_taken_out() {
    assert_eq!(
        steady(
            "demo-3f9a1c2e-server-0 [id=426968907] 10.30.0.0/20 10.30.0.7 sha256:3b6f1a16338ba3a0…"
        ),
        "demo-HEX-server-0 [id=NUMBER] 10.30.0.0/20 IP sha256:HEX…"
    );
    assert_eq!(
        steady(
            "\"kplan-demo-3f9a1c2e-ly3s31yi\" http://127.0.0.1:35515/ ssh-ed25519 AAAA+b/c= kplan"
        ),
        "\"kplan-demo-HEX-RANDOM\" http://127.0.0.1:PORT/ ssh-ed25519 KEY kplan"
    );
    assert_eq!(
        steady("\"-----BEGIN A KEY-----\\nabc\\n-----END A KEY-----\\n\" sha256:123456789012"),
        "\"PEM A KEY\\n\" sha256:HEX"
    );
    assert_eq!(steady("\"DOJSOLZMRPEGYJJNMHFK\""), "\"KEY\"");
    assert_eq!(steady("af7acd9a-859c-479b-8c94-c6c89e5fcd27"), "UUID");
    assert_eq!(
        steady("s-2vcpu-4gb v1.35.6+k3s1 25060 2026-11-29T23:20:00Z"),
        "s-2vcpu-4gb v1.35.6+k3s1 25060 MOMENT"
    );
}
