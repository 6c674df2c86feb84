//! `kplan drift`: what changed outside of kplan. Its clients send nothing but reads, it takes no lock
//! and writes nothing.

use crate::cli::{DriftArgs, Global};
use crate::cmd::leavings;
use crate::cmd::session::{self, Session};
use crate::compose::leavings::has_resources;
use crate::error::{CommandResult, Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::load;
use crate::render::text::{self, Style};
use crate::render::{Terminal, document};
use crate::review::{Drifted, Review};
use kplan_engine::{PlanOptions, Planned};
use kplan_model::{Declarations, Ignored, PlanMode, Snapshot};
use kplan_providers::digitalocean::{Seen, Traces, remainder};
use kplan_schema::Spanned;
use kplan_schema::value::DriftRule;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The file's rules, as the engine takes them.
pub fn rules(rules: &[Spanned<DriftRule>]) -> Vec<Ignored> {
    rules.iter().map(|rule| ignored(&rule.value)).collect()
}

fn ignored(rule: &DriftRule) -> Ignored {
    let any = |text: &str| text == "*";
    Ignored {
        address: rule.address().parse().ok().filter(|_| !any(rule.address())),
        field: Some(rule.field().to_owned()).filter(|field| !any(field)),
    }
}

/// Runs it.
pub async fn run(global: &Global, args: &DriftArgs, terminal: &mut Terminal) -> CommandResult {
    let looking = Interrupts::listen();
    Box::pin(looking.unless(look(global, args, terminal))).await
}

async fn look(global: &Global, args: &DriftArgs, terminal: &mut Terminal) -> CommandResult {
    let given: Vec<Ignored> = args
        .ignore
        .iter()
        .map(|text| rule(text))
        .collect::<Result<_, _>>()?;
    let session = Session::reading(global, terminal).await?;
    let snapshot = session.recorded(terminal)?;
    // What a lost state made is nobody's drift, and no reason to say that there is none.
    session.not_taken(&snapshot).await?;
    let policy = session::planning_policy(args.secrets.allow_secret_sources);
    let secrets = load::secrets(&session.loaded, policy)?;
    let mut declarations = session.declared(&snapshot, secrets);
    declarations.ignored.extend(given);
    let strangers = strangers(&session, &snapshot).await?;
    let options = PlanOptions::new(PlanMode::RefreshOnly);
    let planned = session.plan(&declarations, snapshot, &options).await?;
    let found = Found {
        planned,
        declarations,
        strangers,
    };
    if global.json {
        terminal.line(&found.document(&session).to_string());
    } else {
        found.print(&session, terminal);
    }
    Ok(found.exit())
}

fn rule(text: &str) -> Result<Ignored, Failure> {
    let read = DriftRule::read(text);
    let rule = read.map_err(|(what, remedy)| {
        Problem::error("cli::ignore", format!("--ignore: {what}")).help(remedy)
    })?;
    Ok(ignored(&rule))
}

/// What carries the owner's tag, is not on record, and was not made by the cluster itself.
async fn strangers(session: &Session, snapshot: &Snapshot) -> Result<Seen, Failure> {
    if !has_resources(snapshot) {
        return Ok(Seen::default());
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    let records = snapshot.resources.values().chain(&snapshot.deposed);
    known.extend(records.map(|record| record.id.to_string()));
    let in_doubt = snapshot.in_doubt.values();
    known.extend(in_doubt.filter_map(|doubt| Some(doubt.id.as_ref()?.to_string())));
    if leavings::has_cluster(session, snapshot) {
        let (marks, _) = leavings::marks(session, snapshot).await;
        let own = session.adapters.leavings(&marks).await?;
        known.extend(own.found.iter().map(|one| one.attrs.id.clone()));
    }
    let traces = Traces {
        tag: snapshot.owner.tag(),
        kept: known,
        ..Traces::default()
    };
    Ok(remainder(&session.adapters.digitalocean, &traces).await?)
}

/// What a look found.
struct Found {
    planned: Planned,
    declarations: Declarations,
    strangers: Seen,
}

impl Found {
    fn exit(&self) -> Exit {
        if self.is_partial() {
            Exit::Error
        } else if self.planned.plan.drift.is_empty() && self.strangers.left.is_empty() {
            Exit::Ok
        } else {
            Exit::Changes
        }
    }

    fn document(&self, session: &Session) -> Value {
        let kinds = session.kinds();
        let strangers = self.strangers.left.iter();
        let strangers: Vec<Value> = strangers
            .map(|one| json!({ "kind": one.what, "id": one.id, "name": one.name }))
            .collect();
        json!({
            "format_version": "1.0",
            "drift": document::drift(&self.planned, &self.declarations, &kinds),
            "not_on_record": strangers,
            "complete": !self.is_partial(),
            "unread": self.unread(),
        })
    }

    /// What could not be looked at, with the reason.
    fn unread(&self) -> Vec<String> {
        let items = self.planned.report.not_done.iter();
        let items = items.map(|item| format!("{} {}", item.address, item.why));
        let lists = self.strangers.unlisted.iter();
        let lists = lists.map(|what| format!("each {what}: the token may not list them"));
        items.chain(lists).collect()
    }

    /// Whether there is something that could not be looked at.
    fn is_partial(&self) -> bool {
        self.planned.report.is_partial() || !self.strangers.unlisted.is_empty()
    }

    fn print(&self, session: &Session, terminal: &mut Terminal) {
        let Planned { plan, snapshot, .. } = &self.planned;
        let review = Review::of(plan, snapshot, &self.declarations, &session.kinds());
        let mut out = String::new();
        let style = Style {
            color: terminal.color(),
            ..Style::default()
        };
        text::drift(&mut out, &review.drift, style);
        terminal.out(&out);
        for one in &self.strangers.left {
            terminal.line(&format!(
                "{} {} (id {}) carries the cluster's tag, and is on no record.",
                one.what, one.name, one.id
            ));
        }
        for line in self.unread() {
            terminal.line(&format!("Note: {line}"));
        }
        terminal.line(&self.sentence(&review.drift));
        if !plan.drift.is_empty() {
            terminal.line(
                "`kplan plan` says what apply would do about it; `kplan apply --refresh-only` takes what \
                 is real into the record.",
            );
        }
    }

    fn sentence(&self, drift: &[Drifted]) -> String {
        let gone = drift.iter().filter(|one| one.vanished).count();
        let changed = drift.len() - gone;
        let strangers = self.strangers.left.len();
        if self.is_partial() {
            return "Something could not be looked at, so there may be more.".to_owned();
        }
        if changed + gone + strangers == 0 {
            return "No drift. What exists is what is on record.".to_owned();
        }
        format!("Drift: {changed} changed, {gone} gone, {strangers} not on record.")
    }
}
