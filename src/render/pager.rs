//! A pager for what is longer than the screen.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// What is said to `less` where its user says nothing: end at once where all fits, colours as they
/// are, and leave the screen as it was read.
const LESS: &str = "FRX";

/// Whether a text fits a screen of that many columns and rows, the prompt below it included.
pub(super) fn fits(text: &str, columns: usize, rows: usize) -> bool {
    let columns = columns.max(1);
    let needed = text.lines().map(|line| seen(line).div_ceil(columns).max(1));
    needed.sum::<usize>() < rows
}

/// How many columns a line takes, colours left out.
fn seen(line: &str) -> usize {
    let mut columns = 0;
    let mut inside = false;
    for c in line.chars() {
        match (inside, c) {
            (false, '\u{1b}') => inside = true,
            (true, 'm') => inside = false,
            (true, _) => {}
            (false, _) => columns += 1,
        }
    }
    columns
}

/// The pager somebody wants: `KPLAN_PAGER`, `PAGER`, else `less`. Nothing where it is set to nothing
/// or to `cat`.
pub(super) fn wanted(variable: impl Fn(&str) -> Option<OsString>) -> Option<Vec<String>> {
    let said = variable("KPLAN_PAGER").or_else(|| variable("PAGER"));
    let said = said.map_or_else(|| "less".to_owned(), |it| it.to_string_lossy().into_owned());
    let words: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    match words.first().map(String::as_str) {
        None | Some("cat") => None,
        Some(_) => Some(words),
    }
}

/// Shows a text by it and waits until its reader is done. `false` where it cannot be started.
pub(super) fn show(words: &[String], text: &str) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    if let Some(mut pipe) = child.stdin.take() {
        // Whoever has read enough closes it.
        drop(pipe.write_all(text.as_bytes()));
    }
    drop(child.wait());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_take_more_rows_and_colours_none() {
        assert!(fits("a\nb\n", 80, 3));
        assert!(!fits("a\nb\n", 80, 2));
        assert!(!fits(&"x".repeat(161), 80, 3));
        assert!(fits(
            &format!("\u{1b}[1m{}\u{1b}[0m", "x".repeat(80)),
            80,
            2
        ));
    }

    #[test]
    fn the_pager_is_the_readers_choice() {
        let with = |name: &'static str, value: &'static str| {
            wanted(move |asked| (asked == name).then(|| value.into()))
        };
        assert_eq!(
            with("PAGER", "more -s"),
            Some(vec!["more".to_owned(), "-s".to_owned()])
        );
        assert_eq!(with("KPLAN_PAGER", ""), None);
        assert_eq!(with("PAGER", "cat"), None);
        assert_eq!(with("OTHER", "x"), Some(vec!["less".to_owned()]));
    }
}
