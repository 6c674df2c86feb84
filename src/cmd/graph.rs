//! `kplan graph`: the resources the file asks for and what each depends on.

use crate::cli::{Global, GraphArgs, GraphFormat};
use crate::compose::{self, Inputs};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::load;
use crate::render::Terminal;
use kplan_model::{Declaration, Owner, Secret, Value};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Runs it. Looks at nothing but the file and resolves no secret.
pub fn run(global: &Global, args: &GraphArgs, terminal: &mut Terminal) -> CommandResult {
    let loaded = load::file(&global.file)?;
    let cluster = loaded.spec.name().to_owned();
    let inputs = Inputs {
        owner: Owner {
            cluster,
            suffix: "00000000".to_owned(),
        },
        secrets: load::Secrets::new(),
        token: Secret::sealed("not resolved"),
        members: compose::Members::default(),
        earlier: compose::Earlier::default(),
        standing: compose::Standing::default(),
        restoring: compose::Restoring::default(),
        rotating: compose::Rotating::default(),
        artifacts: crate::artifacts::Artifacts::embedded()?,
    };
    let declarations = compose::compose(&loaded.spec, &inputs);
    if global.json {
        terminal.line(&document(&declarations.resources).to_string());
        return Ok(Exit::Ok);
    }
    let text = match args.format {
        GraphFormat::Dot => dot(&declarations.resources),
        GraphFormat::Mermaid => mermaid(&declarations.resources),
    };
    terminal.out(&text);
    Ok(Exit::Ok)
}

/// What a declaration needs, by address.
fn needs(declaration: &Declaration) -> BTreeSet<String> {
    let mut needs = BTreeSet::new();
    let args = Value::Map(declaration.args.clone());
    args.for_each_ref(&mut |reference| {
        needs.insert(reference.address.to_string());
    });
    needs.extend(declaration.meta.after.iter().map(ToString::to_string));
    needs.extend(declaration.meta.inside.iter().map(ToString::to_string));
    needs
}

/// Nodes, and edges from each to what it needs.
fn document(resources: &[Declaration]) -> serde_json::Value {
    let nodes: Vec<String> = resources
        .iter()
        .map(|declaration| declaration.address.to_string())
        .collect();
    let edges: Vec<serde_json::Value> = resources
        .iter()
        .flat_map(|declaration| {
            let from = declaration.address.to_string();
            needs(declaration)
                .into_iter()
                .map(move |to| json!({ "from": from, "to": to }))
        })
        .collect();
    json!({ "format_version": "1.0", "nodes": nodes, "edges": edges })
}

fn dot(resources: &[Declaration]) -> String {
    let mut out = String::from("digraph kplan {\n  rankdir = \"RL\";\n  node [shape = box];\n");
    for declaration in resources {
        let _ = writeln!(out, "  \"{}\";", declaration.address);
        for need in needs(declaration) {
            let _ = writeln!(out, "  \"{}\" -> \"{need}\";", declaration.address);
        }
    }
    out.push_str("}\n");
    out
}

fn mermaid(resources: &[Declaration]) -> String {
    let id = |address: &str| address.replace(['.', '[', ']'], "_");
    let mut out = String::from("flowchart RL\n");
    for declaration in resources {
        let address = declaration.address.to_string();
        let _ = writeln!(out, "  {}[\"{address}\"]", id(&address));
        for need in needs(declaration) {
            let _ = writeln!(out, "  {} --> {}", id(&address), id(&need));
        }
    }
    out
}
