//! Everything that reaches a terminal or a pipe goes through here.

pub mod document;
pub mod events;
pub mod fold;
pub mod json;
pub mod markdown;
mod pager;
pub mod pending;
pub mod problem;
pub mod progress;
pub mod remainder;
pub mod terraform;

pub mod text;
pub mod value;
pub mod waits;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

/// Columns where nobody says how many there are.
const WIDTH: usize = 100;
/// No text is made narrower than this.
const NARROW: usize = 40;

/// Where output goes, and how it may look.
pub struct Terminal {
    color: bool,
    width: usize,
    /// How many rows whoever looks at it sees; nothing where nobody does.
    rows: Option<usize>,
    live: bool,
    broken: bool,
}

/// A style that says something even without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Headings.
    Bold,
    /// Created.
    Green,
    /// Destroyed.
    Red,
    /// Changed.
    Yellow,
    /// Read.
    Cyan,
    /// Less important.
    Dim,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Green => "32",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Cyan => "36",
            Self::Dim => "2",
        }
    }
}

/// Wraps text in a style where colour is on.
pub fn paint(color: bool, paint: Paint, text: &str) -> String {
    if color {
        format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code())
    } else {
        text.to_owned()
    }
}

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colors {
    /// Decides: what was said on the command line, then `NO_COLOR`, then `CLICOLOR_FORCE`, then
    /// `CLICOLOR=0` and `TERM=dumb`, then whether somebody sees it.
    fn decide(self, variable: impl Fn(&str) -> Option<OsString>, seen: bool) -> bool {
        let says = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is = |name: &str, value: &str| says(name).is_some_and(|it| it == value);
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if says("NO_COLOR").is_some() => false,
            Self::Auto if says("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0") => true,
            Self::Auto => seen && !is("CLICOLOR", "0") && !is("TERM", "dumb"),
        }
    }
}

impl Terminal {
    /// Looks at what standard output and standard error are.
    pub fn detect(colors: Colors) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal();
        let size = terminal_size::terminal_size().filter(|_| terminal);
        let columns = std::env::var("COLUMNS").ok();
        let columns = columns.and_then(|text| text.parse().ok());
        let width = columns.or(size.map(|(width, _)| usize::from(width.0)));
        let automation = set("KPLAN_IN_AUTOMATION") || set("CI");
        Self {
            color: colors.decide(|name| std::env::var_os(name), terminal),
            width: width.unwrap_or(WIDTH),
            rows: size
                .filter(|_| !automation)
                .map(|(_, rows)| usize::from(rows.0)),
            live: io::stderr().is_terminal() && !automation,
            broken: false,
        }
    }

    /// Whether colour is on.
    pub fn color(&self) -> bool {
        self.color
    }

    /// Columns to wrap long reports at.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A text for whoever looks: wrapped where it is wider than the screen, its further lines behind
    /// `indent`. In a pipe a sentence stays one line.
    pub fn wrapped(&self, text: &str, indent: &str) -> String {
        if self.rows.is_none() {
            return text.to_owned();
        }
        let options = textwrap::Options::new(self.width.max(NARROW)).subsequent_indent(indent);
        let options = options.break_words(false);
        textwrap::fill(text, options)
    }

    /// Writes to standard output, by a pager where it is longer than the screen.
    pub fn paged(&mut self, text: &str) {
        let long = self
            .rows
            .is_some_and(|rows| !pager::fits(text, self.width, rows));
        let words = pager::wanted(|name| std::env::var_os(name)).filter(|_| long);
        if !words.is_some_and(|words| pager::show(&words, text)) {
            self.out(text);
        }
    }

    /// Whether progress may redraw lines.
    pub fn live(&self) -> bool {
        self.live
    }

    /// Writes to standard output. A closed pipe is remembered and everything after it dropped.
    pub fn out(&mut self, text: &str) {
        if !self.broken && write_all(&mut io::stdout().lock(), text).is_err() {
            self.broken = true;
        }
    }

    /// Writes a line to standard output.
    pub fn line(&mut self, text: &str) {
        self.out(&format!("{text}\n"));
    }

    /// Writes a line to standard error.
    pub fn note(&mut self, text: &str) {
        // Nobody is left to tell when standard error is closed.
        drop(write_all(&mut io::stderr().lock(), &format!("{text}\n")));
    }
}

fn write_all(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_for_colour_first_is_heard() {
        let decide = |colors: Colors, names: &[(&str, &str)], seen: bool| {
            let value = |asked: &str| {
                let found = names.iter().find(|(name, _)| *name == asked);
                found.map(|(_, value)| OsString::from(value))
            };
            colors.decide(value, seen)
        };
        assert!(decide(Colors::Auto, &[], true));
        assert!(!decide(Colors::Auto, &[], false));
        assert!(!decide(
            Colors::Auto,
            &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")],
            true
        ));
        assert!(decide(Colors::Auto, &[("NO_COLOR", "")], true));
        assert!(decide(Colors::Auto, &[("CLICOLOR_FORCE", "1")], false));
        assert!(!decide(Colors::Auto, &[("CLICOLOR_FORCE", "0")], false));
        assert!(!decide(Colors::Auto, &[("CLICOLOR", "0")], true));
        assert!(!decide(Colors::Auto, &[("TERM", "dumb")], true));
        assert!(decide(Colors::Always, &[("NO_COLOR", "1")], false));
        assert!(!decide(Colors::Never, &[("CLICOLOR_FORCE", "1")], true));
    }

    #[test]
    fn sentences_are_wrapped_for_a_screen_and_not_for_a_pipe() {
        let mut terminal = Terminal {
            color: false,
            width: 44,
            rows: Some(20),
            live: false,
            broken: false,
        };
        let text = "Note: a sentence of more words than there are columns for";
        assert_eq!(
            terminal.wrapped(text, "  "),
            "Note: a sentence of more words than there\n  are columns for"
        );
        terminal.rows = None;
        assert_eq!(terminal.wrapped(text, "  "), text);
    }
}
