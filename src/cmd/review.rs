//! A plan with everything that is shown with it, gathered once and printed in any form.

use crate::cmd::session::Session;
use crate::cmd::{dry_run, notes};
use crate::git;
use crate::preflight::{self, Preflight};
use crate::price::{self, Cents, Prices, Staying};
use crate::render::Terminal;
use crate::render::document::{self, Source};
use crate::render::markdown::{self, Around};
use crate::render::text::{self, Style};
use crate::review::Review;
use kplan_engine::Planned;
use kplan_model::Declarations;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt::Write as _;

/// A plan as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// In words.
    pub review: Review,
    /// For machines.
    pub document: Value,
    /// What it costs.
    pub price: Price,
    /// What the API would refuse, and what else preflight found, one line each.
    pub findings: Vec<String>,
}

/// What everything costs a month, before and after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// The whole, as text.
    pub text: String,
    /// The whole, as Markdown.
    pub markdown: String,
    /// The difference alone, such as `+$24.00 a month`; nothing where there is none.
    pub difference: Option<String>,
}

/// What was found besides what is on record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// What is to be said of it.
    pub notes: &'a [String],
    /// What a destroy leaves in the account.
    pub staying: &'a [Staying],
}

impl<'a> Beside<'a> {
    /// Only notes.
    pub fn noted(notes: &'a [String]) -> Self {
        Self {
            notes,
            staying: &[],
        }
    }
}

impl Price {
    fn of(prices: &Prices) -> Self {
        let difference = prices.after - prices.before;
        let differs = difference != Cents(0);
        let least = if prices.at_least { "at least " } else { "" };
        // A sum that lacks something says nothing about less.
        let differs = differs && !(prices.at_least && difference < Cents(0));
        Self {
            text: price::text(prices),
            markdown: price::markdown(prices),
            difference: differs.then(|| format!("{least}{} a month", difference.signed())),
        }
    }
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// For people at a terminal.
    Text(Style),
    /// For machines.
    Json,
    /// For a pull request, in at most so many bytes.
    Markdown(usize),
}

impl Shown {
    /// Gathers what belongs to a plan.
    pub async fn of(
        session: &Session,
        (planned, found): (&Planned, Beside<'_>),
        declarations: &Declarations,
    ) -> (Self, Preflight) {
        let (plan, kinds) = (&planned.plan, session.kinds());
        let dry_runs = dry_run::ask(session, planned).await;
        let looked = Box::pin(preflight::look(session, planned, declarations)).await;
        let prices = price::of(plan, &planned.snapshot, &looked.catalogue).beside(found.staying);
        let statistics = session.statistics(planned, declarations);
        let mut notes = notes::all(session, planned).await;
        notes.extend(found.notes.iter().cloned());
        notes.extend(looked.notes.iter().cloned());
        let partial = planned.report.is_partial();
        let mut document = document::plan(&Source {
            planned,
            declarations,
            kinds: &kinds,
            statistics: &statistics,
            notes: &notes,
        });
        if let Some(map) = document.as_object_mut() {
            map.insert("dry_runs".to_owned(), dry_run::document(&dry_runs));
            map.insert("price".to_owned(), price::document(&prices));
            map.insert("preflight".to_owned(), looked.document(session));
        }
        let mut review = Review::of(plan, &planned.snapshot, declarations, &kinds);
        review.header = session.adapters.header(&session.loaded.spec);
        review.partial = partial;
        review.notes = notes;
        review.dry_runs = dry_run::review(&dry_runs);
        review.commit = git::head(&session.loaded.folder).map(|commit| commit.to_string());
        let shown = Self {
            review,
            document,
            price: Price::of(&prices),
            findings: looked.lines(),
        };
        (shown, looked)
    }

    /// Prints it.
    pub fn print(&self, form: Form, terminal: &mut Terminal) {
        let text = self.printed(form, terminal);
        terminal.out(&text);
    }

    /// Prints it for somebody who only reads: by a pager where it is longer than the screen.
    pub fn page(&self, form: Form, terminal: &mut Terminal) {
        let text = self.printed(form, terminal);
        match form {
            Form::Text(_) => terminal.paged(&text),
            Form::Json | Form::Markdown(_) => terminal.out(&text),
        }
    }

    /// What it says.
    pub fn printed(&self, form: Form, terminal: &Terminal) -> String {
        match form {
            Form::Text(style) => self.text(style, terminal),
            Form::Json => format!("{}\n", self.document),
            Form::Markdown(most) => self.markdown(most),
        }
    }

    /// As Markdown, in at most so many bytes.
    pub fn markdown(&self, most: usize) -> String {
        markdown::markdown(&self.review, &self.around(), most)
    }

    fn text(&self, style: Style, terminal: &Terminal) -> String {
        let mut out = String::new();
        for line in &self.review.header {
            let _ = writeln!(out, "{line}");
        }
        out.push_str(&text::text(&self.review, style));
        out.push_str(&self.price.text);
        for note in &self.review.notes {
            let _ = writeln!(out, "{}", terminal.wrapped(&format!("Note: {note}"), "  "));
        }
        for run in &self.review.dry_runs {
            out.push_str(&text::dry_run(run, style.color));
        }
        out
    }

    fn around(&self) -> Around {
        let mut footer = Vec::new();
        if let Some(commit) = &self.review.commit {
            footer.push(format!("commit {commit}"));
        }
        if let Ok(digest) = self.review.digest() {
            footer.push(format!("plan {}", digest.get(..19).unwrap_or(&digest)));
        }
        footer.push(format!("kplan {}", env!("CARGO_PKG_VERSION")));
        Around {
            difference: self.price.difference.clone(),
            price: self.price.markdown.clone(),
            findings: self.findings.clone(),
            footer,
        }
    }
}

/// Prints a plan before somebody is asked about it.
pub async fn show(
    session: &Session,
    planned: &Planned,
    declarations: &Declarations,
    terminal: &mut Terminal,
    as_json: bool,
) -> Preflight {
    let looks = (planned, Beside::default());
    show_with(session, looks, declarations, terminal, as_json).await
}

/// The same with what was found besides what is on record.
pub async fn show_with(
    session: &Session,
    looks: (&Planned, Beside<'_>),
    declarations: &Declarations,
    terminal: &mut Terminal,
    as_json: bool,
) -> Preflight {
    let (shown, looked) = Shown::of(session, looks, declarations).await;
    let form = if as_json {
        Form::Json
    } else {
        Form::Text(Style {
            color: terminal.color(),
            ..Style::default()
        })
    };
    shown.print(form, terminal);
    if !as_json {
        looked.print(session, terminal);
    }
    looked
}
