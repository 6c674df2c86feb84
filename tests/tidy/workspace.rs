//! What the tidy tests read: the files of the repository and what cargo says about it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Folders that hold no source: build output, version control, states of local clusters.
const NOT_SOURCE: &[&str] = &["target", ".git", ".kplan"];

/// The root of the workspace: the nearest folder above that has the lock file.
pub(super) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file())
        .unwrap()
        .to_owned()
}

/// Every file of the repository, as its path from the root with `/`, sorted.
pub(super) fn files() -> &'static [String] {
    static FILES: OnceLock<Vec<String>> = OnceLock::new();
    FILES.get_or_init(|| {
        let root = root();
        let mut found = Vec::new();
        let mut open = vec![root.clone()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(&dir).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().unwrap();
                // In a worktree `.git` is a file.
                if NOT_SOURCE.contains(&name.as_str()) {
                    continue;
                }
                if kind.is_dir() {
                    open.push(entry.path());
                } else if kind.is_file() {
                    let path = entry.path().strip_prefix(&root).unwrap().to_owned();
                    found.push(path.to_string_lossy().replace('\\', "/"));
                }
            }
        }
        found.sort();
        found
    })
}

/// The Rust files below `folder`; every one of the repository for an empty name.
pub(super) fn rust_files(folder: &str) -> impl Iterator<Item = &'static str> {
    let all = files()
        .iter()
        .map(String::as_str)
        .filter(|path| is_rust(path));
    let below: Vec<_> = all
        .filter(|path| Path::new(path).starts_with(folder))
        .collect();
    below.into_iter()
}

pub(super) fn is_rust(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

/// The text of a file of the repository; `None` when it is not text, or too long to be ours.
pub(super) fn text(path: &str) -> Option<String> {
    const LONGEST: usize = 1 << 20;
    let bytes = std::fs::read(root().join(path)).ok()?;
    if bytes.len() > LONGEST {
        None
    } else {
        String::from_utf8(bytes).ok()
    }
}

/// A crate of this workspace.
pub(super) struct Member {
    pub(super) name: String,
    /// Its manifest, from the root.
    pub(super) manifest: String,
    pub(super) dependencies: Vec<Dependency>,
}

pub(super) struct Dependency {
    pub(super) name: String,
    /// `normal`, `dev` or `build`.
    pub(super) kind: String,
    pub(super) features: Vec<String>,
}

impl Member {
    /// The names of its dependencies of one kind, ours or the others'.
    pub(super) fn names(&self, kind: &str, ours: bool) -> Vec<&str> {
        let is_ours = |name: &str| name.starts_with("kplan");
        let fits = |d: &&Dependency| d.kind == kind && is_ours(&d.name) == ours;
        let mut names: Vec<&str> = self
            .dependencies
            .iter()
            .filter(fits)
            .map(|d| d.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The crates of this workspace by name. Needs no network and resolves nothing.
pub(super) fn members() -> &'static BTreeMap<String, Member> {
    static MEMBERS: OnceLock<BTreeMap<String, Member>> = OnceLock::new();
    MEMBERS.get_or_init(|| {
        let metadata = metadata(&["--no-deps"]).unwrap();
        list(&metadata, "packages")
            .iter()
            .map(member)
            .map(|m| (m.name.clone(), m))
            .collect()
    })
}

fn member(package: &Value) -> Member {
    let dependency = |value: &Value| Dependency {
        name: string(value, "name").to_owned(),
        kind: value
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or("normal")
            .to_owned(),
        features: list(value, "features")
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    };
    let manifest = Path::new(string(package, "manifest_path"));
    Member {
        name: string(package, "name").to_owned(),
        manifest: manifest
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/"),
        dependencies: list(package, "dependencies")
            .iter()
            .map(dependency)
            .collect(),
    }
}

/// Every package cargo resolves: for all platforms where their sources are at hand, else those
/// of this platform.
pub(super) fn packages() -> Vec<Value> {
    let all = metadata(&["--locked"]).or_else(|_| {
        let host = host();
        metadata(&["--locked", "--filter-platform", &host])
    });
    list(&all.unwrap(), "packages").to_vec()
}

/// Runs `cargo metadata`, never over the network.
fn metadata(arguments: &[&str]) -> Result<Value, String> {
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata {}: {said}", arguments.join(" ")));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// The triple of this machine, from the compiler beside cargo.
fn host() -> String {
    let beside = cargo().with_file_name("rustc");
    let rustc = if beside.is_file() {
        beside
    } else {
        "rustc".into()
    };
    let output = Command::new(rustc).arg("-vV").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(super) fn string<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Fails with the problems, one a line, under what to do about them.
#[track_caller]
pub(super) fn none(what_to_do: &str, problems: &[String]) {
    assert!(
        problems.is_empty(),
        "\n{what_to_do}\n  {}\n",
        problems.join("\n  ")
    );
}
