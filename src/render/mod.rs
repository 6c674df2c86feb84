//! Everything that reaches a terminal or a pipe goes through here.

pub mod document;
pub mod events;
pub mod fold;
pub mod json;
pub mod markdown;
pub mod problem;
pub mod progress;
pub mod terraform;

pub mod text;
pub mod value;
pub mod waits;

use std::io::{self, IsTerminal, Write};

/// Where output goes, and how it may look.
pub struct Terminal {
    color: bool,
    width: usize,
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

impl Terminal {
    /// Decides on colour: `--no-color` and `NO_COLOR` switch it off, `CLICOLOR_FORCE` on, else a
    /// terminal on standard output has it.
    pub fn detect(no_color: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced =
            set("CLICOLOR_FORCE") && std::env::var("CLICOLOR_FORCE").ok().as_deref() != Some("0");
        let terminal = io::stdout().is_terminal();
        let color = !no_color && !set("NO_COLOR") && (forced || terminal);
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(100);
        let automation = set("KPLAN_IN_AUTOMATION") || set("CI");
        let live = io::stderr().is_terminal() && !automation;
        Self {
            color,
            width,
            live,
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
