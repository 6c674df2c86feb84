//! Every crate takes its lints, versions and package fields from the workspace.

use super::workspace::{members, none, text};

/// Fields of `[package]` that are the workspace's.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// The sections of a manifest: header without brackets, and its lines.
fn sections(manifest: &str) -> Vec<(String, Vec<String>)> {
    let mut sections = vec![(String::new(), Vec::new())];
    for line in text(manifest).unwrap().lines() {
        let line = line.trim_end();
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.split(']').next())
            && !line.contains('=')
        {
            sections.push((header.trim_matches('[').to_owned(), Vec::new()));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push(line.to_owned());
        }
    }
    sections
}

fn is_dependencies(header: &str) -> bool {
    let own = !header.starts_with("workspace.");
    own && header.split('.').any(|part| part.ends_with("dependencies"))
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let mut problems = Vec::new();
    for member in members().values() {
        let inherits = sections(&member.manifest).iter().any(|(header, lines)| {
            header == "lints" && lines.iter().any(|line| line == "workspace = true")
        });
        if !inherits {
            problems.push(member.manifest.clone());
        }
    }
    none("Write `[lints]` and `workspace = true` into", &problems);
}

#[test]
fn every_crate_takes_its_fields_from_the_workspace() {
    let mut problems = Vec::new();
    for member in members().values() {
        let sections = sections(&member.manifest);
        let package = sections.iter().find(|(header, _)| header == "package");
        for field in INHERITED {
            let wanted = format!("{field}.workspace = true");
            if !package.is_some_and(|(_, lines)| lines.contains(&wanted)) {
                problems.push(format!("{}: {wanted}", member.manifest));
            }
        }
    }
    none("Take these from the workspace:", &problems);
}

#[test]
fn every_version_stands_once_in_the_workspace() {
    let mut problems = Vec::new();
    for member in members().values() {
        for (header, lines) in sections(&member.manifest) {
            if !is_dependencies(&header) {
                continue;
            }
            let whole_table = !header.ends_with("dependencies");
            let inherits = |line: &&String| line.contains("workspace = true");
            if whole_table {
                if !lines.iter().any(|line| inherits(&line)) {
                    problems.push(format!("{}: [{header}]", member.manifest));
                }
                continue;
            }
            let starts = |line: &&String| line.starts_with(|c: char| c.is_ascii_alphanumeric());
            for line in lines.iter().filter(starts).filter(|line| !inherits(line)) {
                problems.push(format!("{}: {line}", member.manifest));
            }
        }
    }
    none(
        "Put the version into [workspace.dependencies] and write `name.workspace = true` here:",
        &problems,
    );
}
