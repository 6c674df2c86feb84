//! Where resources are, before anything is compared: what has another address now (`[[moved]]`),
//! what exists already and comes on record (`[[import]]`, `kplan import`), and what leaves the file
//! on purpose (`[[removed]]`).
//!
//! All of it changes the record and nothing else. It is done to a copy of the state, the plan is
//! made over that, and the copy is written in one step once somebody agreed to the plan.

mod imports;
mod moves;
mod places;
mod removals;

pub use imports::{Wanted, in_file};
pub use removals::kept_from_all;

use crate::cmd::session::Session;
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::load::Secrets;
use kplan_engine::{PlanOptions, Planned};
use kplan_model::{Action, Address, Declarations, Kind, PlanMode, Snapshot};
use std::collections::BTreeMap;

/// A state and what the file asks for, each in the light of the other.
pub struct Arranged {
    /// The state, with everything at its place.
    pub snapshot: Snapshot,
    /// What the file asks for; says what was moved and what is imported.
    pub declarations: Declarations,
    /// What a reader should know of imports, and of what goes.
    pub notes: Vec<String>,
}

impl Arranged {
    /// Whether the state is another than the one on record.
    pub fn is_new(&self) -> bool {
        !self.declarations.moved.is_empty() || !self.declarations.imported.is_empty()
    }
}

impl Arranged {
    /// Plans it. What was imported and is made anew, because it is gone or is replaced, is kplan's own
    /// from its first moment on, and is asked for like that: with the owner's tag.
    ///
    /// # Errors
    /// Those of the plan.
    pub async fn planned(
        self,
        session: &Session,
        secrets: &Secrets,
        options: &PlanOptions,
    ) -> Result<(Planned, Declarations), Failure> {
        let mut records = self.snapshot.resources.values();
        let again = records.any(|record| record.meta.imported);
        let again = again.then(|| self.snapshot.clone());
        let planned = session
            .plan(&self.declarations, self.snapshot, options)
            .await?;
        let Some(mut snapshot) = again else {
            return Ok((planned, self.declarations));
        };
        let steps = planned.plan.steps.iter();
        let made = steps.filter(|step| step.action == Action::Create);
        let mut is_other = false;
        for step in made {
            if let Some(record) = snapshot.resources.get_mut(&step.address) {
                is_other |= std::mem::take(&mut record.meta.imported);
            }
        }
        if !is_other {
            return Ok((planned, self.declarations));
        }
        let declarations = Declarations {
            moved: self.declarations.moved,
            imported: self.declarations.imported,
            forgotten: self.declarations.forgotten,
            ..session.declared(&snapshot, secrets.clone())
        };
        let planned = session.plan(&declarations, snapshot, options).await?;
        Ok((planned, declarations))
    }
}

/// What is moved and imported.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// What the file says, as far as it is among the targets.
    File,
    /// This import alone.
    Only(&'a Wanted),
}

/// Brings a state and the file together. The options get what the file allows to be destroyed.
///
/// # Errors
/// Everything that contradicts itself, with its place in the file; what cannot be imported.
pub async fn arrange(
    session: &Session,
    (snapshot, secrets): (Snapshot, &Secrets),
    which: Which<'_>,
    options: &mut PlanOptions,
) -> Result<Arranged, Failure> {
    let spec = &session.loaded.spec;
    let mut arranged = Arranged {
        declarations: session.declared(&snapshot, secrets.clone()),
        snapshot,
        notes: Vec::new(),
    };
    if options.mode == PlanMode::Apply {
        let is_meant = |address: &Address| {
            // What stands on a target goes along with it.
            options.targets.is_empty()
                || options.targets.iter().any(|target| {
                    (target.name(), target.index()) == (address.name(), address.index())
                })
        };
        let mut moves = match which {
            Which::File => moves::of(session, &arranged.snapshot)?,
            Which::Only(_) => BTreeMap::new(),
        };
        moves.retain(|from, to| is_meant(from) || is_meant(to));
        if !moves.is_empty() {
            arranged.snapshot = kplan_state::rename_all(arranged.snapshot, &moves)?;
            arranged.declarations = session.declared(&arranged.snapshot, secrets.clone());
        }
        let all: Vec<Wanted> = match which {
            Which::File => {
                let all = imports::in_file(spec).into_iter();
                all.filter(|one| is_meant(&one.to)).collect()
            }
            Which::Only(wanted) => vec![wanted.clone()],
        };
        let imported = imports::take(session, &mut arranged, &all, secrets).await?;
        arranged.declarations.moved = moves.into_iter().collect();
        arranged.declarations.imported = imported;
        moves::lead_somewhere(session, &arranged.declarations)?;
        named_once(session, &arranged.declarations)?;
    }
    if options.mode == PlanMode::Destroy {
        // What the file gives into other hands is destroyed with everything else.
        let kept = kept_from_all(spec, &arranged.snapshot);
        arranged.declarations.forgotten = kept;
    } else {
        removals::of(session, &mut arranged, options)?;
        if options.mode == PlanMode::Apply && options.targets.is_empty() {
            places::check(session, &mut arranged, options.refresh).await?;
        }
    }
    Ok(arranged)
}

/// Every address on record that an address of the file means: itself, or, without a number, all of
/// its name; and what stands inside of those under the same name, such as the node on a droplet.
fn meant<'a>(snapshot: &'a Snapshot, address: &Address) -> Vec<&'a Address> {
    let is_meant = |other: &Address| address.covers(other);
    let records = snapshot.resources.values();
    records
        .filter(|record| {
            let inside = record.meta.inside.as_ref();
            let goes_along = |outer: &Address| {
                is_meant(outer)
                    && (outer.name(), outer.index())
                        == (record.address.name(), record.address.index())
            };
            is_meant(&record.address) || inside.is_some_and(goes_along)
        })
        .map(|record| &record.address)
        .collect()
}

/// No two nodes have one name: a moved one keeps its own, and a new one might get the same.
fn named_once(session: &Session, declarations: &Declarations) -> Result<(), Failure> {
    let droplet = Kind::new("droplet");
    let mut first: BTreeMap<String, &Address> = BTreeMap::new();
    let mut problems = Vec::new();
    for declaration in &declarations.resources {
        let address = &declaration.address;
        let Some(kplan_model::Value::Str(name)) = declaration.args.get("name") else {
            continue;
        };
        if *address.kind() != droplet {
            continue;
        }
        let Some(earlier) = first.insert(name.as_str().to_owned(), address) else {
            continue;
        };
        let message = format!("{earlier} and {address} would both be called {name}");
        let problem = Problem::error("moved::name_taken", message).help(
            "a node that is moved keeps its name. Give the new pool another name than the old one had, \
             or another count",
        );
        problems.push(session.at(problem, declaration.origin));
    }
    refused(problems)
}

/// Nothing was changed where anything is wrong.
fn refused(problems: Vec<Problem>) -> Result<(), Failure> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::all(Exit::Refused, problems))
    }
}
