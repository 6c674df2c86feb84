//! What would drown a plan when it is shown whole: pinned artifacts and certificates. Each is
//! told in one line that changes whenever what it stands for does.

use aws_lc_rs::digest::{SHA256, digest};
use kplan_model::{Object, Value};
use std::fmt::Write as _;

/// More artifacts than these of one component and version are told together.
const ARTIFACTS: usize = 3;

/// `velero v1.17.2 crds.yaml (sha256:1745be19…)` for a map that names an artifact: a component, a
/// version and a file, with its address and digest.
pub fn artifact(map: &Object) -> Option<String> {
    let Artifact {
        component,
        version,
        file,
        sha256,
    } = Artifact::of(map)?;
    let file = if file == component {
        String::new()
    } else {
        format!(" {file}")
    };
    Some(format!("{component} {version}{file} ({})", short(sha256)))
}

/// One line for each component of a long list of artifacts.
pub fn artifacts(items: &[Value]) -> Option<Vec<String>> {
    if items.len() <= ARTIFACTS {
        return None;
    }
    let mut groups: Vec<Vec<Artifact<'_>>> = Vec::new();
    for item in items {
        let Value::Map(map) = item else { return None };
        let artifact = Artifact::of(map)?;
        let same = |group: &&mut Vec<Artifact<'_>>| {
            group
                .first()
                .is_some_and(|first| first.release() == artifact.release())
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(artifact),
            None => groups.push(vec![artifact]),
        }
    }
    Some(groups.iter().map(|group| together(group)).collect())
}

fn together(group: &[Artifact<'_>]) -> String {
    let Some(first) = group.first() else {
        return String::new();
    };
    let all: Vec<&str> = group
        .iter()
        .map(|artifact| artifact.sha256.unwrap_or("unpinned"))
        .collect();
    let one = hex(digest(&SHA256, all.join("\n").as_bytes()).as_ref());
    let digest = if all.contains(&"unpinned") {
        "unpinned".to_owned()
    } else {
        short(Some(&one))
    };
    let files = match group {
        [only] => only.file.to_owned(),
        _ => format!("{} files", group.len()),
    };
    format!("{} {} {files} ({digest})", first.component, first.version)
}

/// The parts of an artifact a reader knows it by.
struct Artifact<'a> {
    component: &'a str,
    version: &'a str,
    file: &'a str,
    sha256: Option<&'a str>,
}

impl<'a> Artifact<'a> {
    fn of(map: &'a Object) -> Option<Self> {
        let known = ["component", "file", "sha256", "url", "version"];
        if map.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        let text = |name: &str| map.get(name).and_then(Value::as_str);
        Some(Self {
            component: text("component")?,
            version: text("version")?,
            file: text("file")?,
            sha256: text("sha256"),
        })
    }

    fn release(&self) -> (&str, &str) {
        (self.component, self.version)
    }
}

/// `(2 certificates, sha256:1f0c…)` for PEM text: nobody reads base64, but a change must show.
pub fn pem(text: &str) -> Option<String> {
    let begin = "-----BEGIN ";
    let rest = text.trim_start().strip_prefix(begin)?;
    let label = rest.split("-----").next()?;
    let count = text.matches(begin).count();
    let mut out = String::from("(");
    if count > 1 {
        let _ = write!(out, "{count} × ");
    }
    let _ = write!(
        out,
        "PEM {}, {})",
        label.to_lowercase(),
        short(Some(&hex(digest(&SHA256, text.as_bytes()).as_ref())))
    );
    Some(out)
}

fn short(sha256: Option<&str>) -> String {
    match sha256 {
        Some(digest) => format!("sha256:{}…", digest.get(..12).unwrap_or(digest)),
        None => "unpinned".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(file: &str, sha256: Option<&str>) -> Value {
        let mut map = Object::new();
        for (name, text) in [
            ("component", "velero"),
            ("version", "v1.17.2"),
            ("file", file),
            ("url", "https://example.com/x"),
        ] {
            map.insert(name.to_owned(), Value::str(text));
        }
        if let Some(digest) = sha256 {
            map.insert("sha256".to_owned(), Value::str(digest));
        }
        Value::Map(map)
    }

    #[test]
    fn many_files_of_one_release_are_one_line_that_changes_with_any_of_them() {
        let names = ["a", "b", "c", "d"];
        let digest = "0".repeat(64);
        let items: Vec<Value> = names.iter().map(|name| item(name, Some(&digest))).collect();
        let before = artifacts(&items).unwrap();
        assert_eq!(before.len(), 1);
        assert!(before[0].starts_with("velero v1.17.2 4 files (sha256:"));
        let mut other = items.clone();
        other[2] = item("c", Some(&"1".repeat(64)));
        assert_ne!(artifacts(&other).unwrap(), before);
        other[2] = item("c", None);
        assert_eq!(
            artifacts(&other).unwrap(),
            ["velero v1.17.2 4 files (unpinned)"]
        );
        assert_eq!(artifacts(&items[..3]), None);
    }

    #[test]
    fn what_only_looks_like_an_artifact_is_shown_whole() {
        let Value::Map(mut map) = item("a", None) else {
            panic!("a map");
        };
        assert_eq!(
            artifact(&map).as_deref(),
            Some("velero v1.17.2 a (unpinned)")
        );
        map.insert("mode".to_owned(), Value::Int(1));
        assert_eq!(artifact(&map), None);
    }

    #[test]
    fn certificates_are_told_by_kind_and_digest() {
        let one = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n";
        let two = one.repeat(2);
        assert!(pem(one).unwrap().starts_with("(PEM certificate, sha256:"));
        assert!(
            pem(&two)
                .unwrap()
                .starts_with("(2 × PEM certificate, sha256:")
        );
        assert_ne!(pem(one), pem(&one.replace("AA", "AB")));
        assert_eq!(pem("plain"), None);
    }
}
