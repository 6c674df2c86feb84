//! `kplan output`: the results of the last apply.

use crate::cli::{Global, OutputArgs};
use crate::cmd::state::view;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::render::{Terminal, json, value};
use kplan_model::{Text, Value};
use serde_json::{Map, json};

/// Runs it. A secret is printed only when it is asked for alone and `--raw`.
pub fn run(global: &Global, args: &OutputArgs, terminal: &mut Terminal) -> CommandResult {
    let outputs = view(global, terminal)?.snapshot.outputs;
    let Some(name) = &args.name else {
        if global.json {
            let all: Map<String, serde_json::Value> = outputs
                .iter()
                .map(|(name, item)| (name.to_string(), document(item)))
                .collect();
            let document = json!({ "format_version": "1.0", "outputs": all });
            terminal.line(&document.to_string());
        } else {
            let width = outputs.keys().map(Text::len).max().unwrap_or(0);
            for (name, item) in &outputs {
                terminal.line(&format!("{name:width$} = {}", value::show(item, 0)));
            }
        }
        return Ok(Exit::Ok);
    };
    let item = outputs
        .get(name)
        .ok_or_else(|| unknown(name, outputs.keys()))?;
    if args.raw {
        terminal.line(&raw(name, item)?);
    } else if global.json {
        let mut document = document(item);
        if let Some(map) = document.as_object_mut() {
            map.insert("format_version".to_owned(), json!("1.0"));
        }
        terminal.line(&document.to_string());
    } else {
        terminal.line(&value::show(item, 0));
    }
    Ok(Exit::Ok)
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a Text>) -> Failure {
    let known: Vec<&str> = known.map(Text::as_str).collect();
    Problem::error("output::unknown", format!("there is no output `{name}`"))
        .help(format!("there are: {}", known.join(", ")))
        .into()
}

fn document(item: &Value) -> serde_json::Value {
    json!({ "sensitive": item.has_secret(), "value": json::plain(item) })
}

fn raw(name: &str, item: &Value) -> Result<String, Failure> {
    match item {
        Value::Str(text) => Ok(text.to_string()),
        Value::Int(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Secret(secret) => secret.expose().map(str::to_owned).ok_or_else(|| {
            Problem::error(
                "output::sealed",
                format!("{name} is sealed: the identity is not at hand"),
            )
            .help("set KPLAN_IDENTITY or restore ~/.config/kplan/identity")
            .into()
        }),
        _ => Err(
            Problem::error("output::not_plain", format!("{name} is not a single value"))
                .help("use --json")
                .into(),
        ),
    }
}
