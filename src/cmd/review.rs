//! A plan with everything that is shown with it, gathered once and printed in any form.

use crate::cmd::session::Session;
use crate::cmd::{dry_run, notes};
use crate::git;
use crate::render::Terminal;
use crate::render::document::{self, Source};
use crate::render::markdown::{self, Around};
use crate::render::text::{self, Style};
use crate::review::Review;
use kplan_engine::Planned;
use kplan_model::Declarations;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A plan as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// In words.
    pub review: Review,
    /// For machines.
    pub document: Value,
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
    /// Gathers what belongs to a plan. `found` are notes about what was found besides what is on
    /// record.
    pub async fn of(
        session: &Session,
        (planned, found): (&Planned, &[String]),
        declarations: &Declarations,
    ) -> Self {
        let (plan, kinds) = (&planned.plan, session.kinds());
        let dry_runs = dry_run::ask(session, planned).await;
        let statistics = session.statistics(planned, declarations);
        let mut notes = notes::all(session, planned).await;
        notes.extend(found.iter().cloned());
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
        }
        let mut review = Review::of(plan, &planned.snapshot, declarations, &kinds);
        review.header = session.adapters.header(&session.loaded.spec);
        review.partial = partial;
        review.notes = notes;
        review.dry_runs = dry_run::review(&dry_runs);
        review.commit = git::head(&session.loaded.folder).map(|commit| commit.to_string());
        Self { review, document }
    }

    /// Prints it.
    pub fn print(&self, form: Form, terminal: &mut Terminal) {
        match form {
            Form::Text(style) => self.text(style, terminal),
            Form::Json => terminal.line(&self.document.to_string()),
            Form::Markdown(most) => {
                terminal.out(&markdown::markdown(&self.review, &self.around(), most));
            }
        }
    }

    fn text(&self, style: Style, terminal: &mut Terminal) {
        for line in &self.review.header {
            terminal.line(line);
        }
        terminal.out(&text::text(&self.review, style));
        for note in &self.review.notes {
            terminal.line(&format!("Note: {note}"));
        }
        for run in &self.review.dry_runs {
            terminal.out(&text::dry_run(run, style.color));
        }
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
            footer,
            ..Around::default()
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
) {
    show_with(session, (planned, &[]), declarations, terminal, as_json).await;
}

/// The same with notes about what was found besides what is on record.
pub async fn show_with(
    session: &Session,
    looks: (&Planned, &[String]),
    declarations: &Declarations,
    terminal: &mut Terminal,
    as_json: bool,
) {
    let shown = Shown::of(session, looks, declarations).await;
    let form = if as_json {
        Form::Json
    } else {
        Form::Text(Style {
            color: terminal.color(),
            ..Style::default()
        })
    };
    shown.print(form, terminal);
}
