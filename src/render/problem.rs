//! Problems as people read them, and as machines do.

use crate::error::Problem;
use crate::render::Terminal;
use miette::{GraphicalReportHandler, GraphicalTheme, SourceSpan};
use serde_json::{Value, json};

/// The report of one problem: code, message, the place in the file, help.
pub fn text(problem: &Problem, color: bool, width: usize) -> String {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let mut out = String::new();
    match handler.render_report(&mut out, problem) {
        Ok(()) => out,
        Err(_) => format!("{}: {problem}", problem.code),
    }
}

/// All of them, to standard error; with `--json` as one document on standard output.
pub fn print(terminal: &mut Terminal, problems: &[Problem], as_json: bool) {
    if as_json {
        let document = json!({
            "format_version": "1.0",
            "diagnostics": problems.iter().map(document).collect::<Vec<_>>(),
        });
        terminal.line(&document.to_string());
        return;
    }
    for problem in problems {
        let report = text(problem, terminal.color(), terminal.width());
        terminal.note(report.trim_end());
    }
}

/// Warnings in a line each, to standard error: what a plan rests on must not drown the plan.
/// `kplan validate` tells the whole of them.
pub fn brief(terminal: &mut Terminal, warnings: &[Problem]) {
    for warning in warnings {
        terminal.note(&brief_line(warning));
    }
}

fn brief_line(problem: &Problem) -> String {
    let place = range(problem).map_or_else(String::new, |range| {
        format!(
            "{}:{}: ",
            range["filename"].as_str().unwrap_or_default(),
            range["start"]["line"]
        )
    });
    format!(
        "Warning: {place}{} [{}; `kplan validate` says more]",
        problem.message, problem.code
    )
}

/// One problem as JSON: severity, code, summary, help, range with 1-based lines and columns.
pub fn document(problem: &Problem) -> Value {
    let severity = match problem.severity {
        miette::Severity::Error => "error",
        miette::Severity::Warning | miette::Severity::Advice => "warning",
    };
    json!({
        "severity": severity,
        "code": problem.code,
        "summary": problem.message,
        "help": problem.help,
        "range": range(problem),
    })
}

fn range(problem: &Problem) -> Option<Value> {
    let source = problem.source.as_ref()?;
    let span: SourceSpan = *problem.labels.first()?.inner();
    let text = source.inner();
    Some(json!({
        "filename": source.name(),
        "start": position(text, span.offset()),
        "end": position(text, span.offset().saturating_add(span.len())),
    }))
}

fn position(text: &str, byte: usize) -> Value {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).map_or(0, |tail| tail.chars().count()) + 1;
    json!({ "line": line, "column": column, "byte": byte })
}
