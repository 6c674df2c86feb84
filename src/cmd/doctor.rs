//! `kplan doctor`: looks at everything an operator should worry about. Reads, and changes nothing.

use crate::cli::{DoctorArgs, Global};
use crate::doctor::{Examination, Outcome, Verdict, examine};
use crate::error::CommandResult;
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::render::{Paint, Terminal, paint};
use serde_json::{Value, json};

/// Runs it. A problem makes it end with 1, a warning does not.
pub async fn run(global: &Global, args: &DoctorArgs, terminal: &mut Terminal) -> CommandResult {
    let interrupts = Interrupts::listen();
    let looking = async {
        let examination = Examination::open(global, args.probe, terminal).await?;
        Ok(examine(&examination).await)
    };
    let verdicts = Box::pin(interrupts.unless(looking)).await?;
    if global.json {
        terminal.line(&document(&verdicts).to_string());
    } else {
        print(&verdicts, terminal);
    }
    let worst = verdicts.iter().map(|(_, verdict)| verdict.outcome).max();
    Ok(if worst == Some(Outcome::Problem) {
        Exit::Error
    } else {
        Exit::Ok
    })
}

fn document(verdicts: &[(&'static str, Verdict)]) -> Value {
    let checks: Vec<Value> = verdicts
        .iter()
        .map(|(code, verdict)| {
            json!({
                "code": code,
                "outcome": verdict.outcome.name(),
                "message": verdict.message,
                "help": verdict.help,
                "details": verdict.details,
            })
        })
        .collect();
    json!({ "format_version": "1.0", "checks": checks })
}

fn colour(outcome: Outcome) -> Paint {
    match outcome {
        Outcome::Ok => Paint::Green,
        Outcome::NotLookedAt => Paint::Dim,
        Outcome::Warning => Paint::Yellow,
        Outcome::Problem => Paint::Red,
    }
}

/// A line for each check, then what to do about those that are not well.
fn print(verdicts: &[(&'static str, Verdict)], terminal: &mut Terminal) {
    let color = terminal.color();
    let width = verdicts
        .iter()
        .map(|(code, _)| code.len())
        .max()
        .unwrap_or(0);
    for (code, verdict) in verdicts {
        let mark = paint(
            color,
            colour(verdict.outcome),
            &format!("{:7}", verdict.outcome),
        );
        let said = match verdict.outcome {
            Outcome::NotLookedAt => format!("not looked at: {}", verdict.message),
            _ => verdict.message.clone(),
        };
        terminal.line(&format!("{mark}  {code:width$}  {said}"));
    }
    let count = |outcome| {
        let of = verdicts.iter().filter(|(_, one)| one.outcome == outcome);
        of.count()
    };
    for (code, verdict) in verdicts {
        let tells = matches!(verdict.outcome, Outcome::Warning | Outcome::Problem);
        if let Some(help) = verdict.help.as_ref().filter(|_| tells) {
            let heading = paint(color, Paint::Bold, code);
            terminal.line(&format!("\n{heading}: {}\n  {help}", verdict.message));
        }
    }
    terminal.line(&format!(
        "\nProblems: {}, warnings: {}, well: {}, not looked at: {}.",
        count(Outcome::Problem),
        count(Outcome::Warning),
        count(Outcome::Ok),
        count(Outcome::NotLookedAt),
    ));
}
