//! A whole engine over the scripted cloud: plan, apply, die, live again.

use super::{Cloud, Dying, MemoryJournal, registry};
use crate::clock::Clock as _;
use crate::event::Event;
use crate::execute::{Cancel, ExecuteOptions, Outcome, Run};
use crate::{EngineError, PlanOptions, Planned, Planning, Recovered, observe, plan, recover};
use kplan_model::{
    Address, Approval, Declarations, Owner, PlanMode, Registry, RunId, Snapshot, Timestamp,
};
use std::sync::Arc;

/// The engine, its cloud and its journal.
pub struct Lab {
    /// The cloud.
    pub cloud: Cloud,
    /// The journal.
    pub journal: MemoryJournal,
    /// The kinds.
    pub registry: Registry,
    /// How to execute.
    pub options: ExecuteOptions,
    /// The stop button of the next run.
    pub cancel: Cancel,
    /// What the last run told.
    pub events: Vec<Event>,
}

/// How one life of the process ended.
#[derive(Debug)]
pub enum Life {
    /// The run came to an end.
    Ended(Box<Outcome>),
    /// The process died.
    Died,
    /// There was no plan.
    NoPlan(Box<EngineError>),
    /// Something of an earlier life could not be cleared up.
    Unclear(Box<Recovered>),
}

impl Life {
    /// Whether the run did everything.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Ended(outcome) if outcome.report().is_complete())
    }
}

impl Lab {
    /// A lab over a cloud, with an empty state.
    pub fn new(cloud: Cloud) -> Self {
        let owner = Owner {
            cluster: "lab".to_owned(),
            suffix: "00000000".to_owned(),
        };
        Self {
            registry: registry(&cloud),
            cloud,
            journal: MemoryJournal::new(Snapshot::empty("lineage", owner)),
            options: ExecuteOptions::new(RunId("run".to_owned())),
            cancel: Cancel::new(),
            events: Vec::new(),
        }
    }

    /// What the state holds.
    pub fn state(&self) -> &Snapshot {
        &self.journal.durable
    }

    /// Plans.
    pub async fn plan(
        &self,
        declarations: &Declarations,
        options: &PlanOptions,
    ) -> Result<Planned, EngineError> {
        let observing = observe::Options::new(self.cloud.now());
        plan(Planning {
            declarations,
            snapshot: self.state().clone(),
            registry: &self.registry,
            options,
            observing: &observing,
        })
        .await
    }

    /// Recovers, plans, approves and executes, as `apply --auto-approve` does.
    pub async fn run(&mut self, declarations: &Declarations, options: &PlanOptions) -> Life {
        self.live(declarations, options, None).await
    }

    /// [`Lab::run`] for a plain apply.
    pub async fn apply(&mut self, declarations: &Declarations) -> Life {
        self.run(declarations, &PlanOptions::new(PlanMode::Apply))
            .await
    }

    /// [`Lab::run`], in a process that may die.
    pub async fn live(
        &mut self,
        declarations: &Declarations,
        options: &PlanOptions,
        dying: Option<Dying>,
    ) -> Life {
        self.journal.reopen(dying);
        let died = Arc::clone(&self.journal.died);
        let life = tokio::select! {
            biased;
            () = died.notified() => Life::Died,
            life = self.life(declarations, options) => life,
        };
        if self.journal.is_dead() {
            Life::Died
        } else {
            life
        }
    }

    async fn life(&mut self, declarations: &Declarations, options: &PlanOptions) -> Life {
        let clock = self.cloud.clock();
        let run = Run {
            registry: &self.registry,
            clock: &clock,
            cancel: &self.cancel,
            options: &self.options,
        };
        self.events.clear();
        let events = &mut self.events;
        let mut tell = |event| events.push(event);
        let snapshot = self.journal.durable.clone();
        let recovered = recover(run, snapshot, &mut self.journal, &mut tell).await;
        if !recovered.is_clear() {
            return Life::Unclear(Box::new(recovered));
        }
        let observing = observe::Options::new(clock.now());
        let planned = plan(Planning {
            declarations,
            snapshot: recovered.snapshot,
            registry: &self.registry,
            options,
            observing: &observing,
        });
        let planned = match planned.await {
            Ok(planned) => planned,
            Err(error) => return Life::NoPlan(Box::new(error)),
        };
        let approved = planned.plan.approve(Approval {
            how: "test".to_owned(),
            at: Timestamp(0),
        });
        let outcome = crate::apply(
            run,
            &approved,
            planned.snapshot,
            &mut self.journal,
            &mut tell,
        )
        .await;
        Life::Ended(Box::new(outcome))
    }

    /// Where cloud and state disagree: what exists and is not on record, what is on record and
    /// does not exist, what exists twice. Deposed resources count as on record.
    pub fn disagreements(&self) -> Vec<String> {
        let living = self.cloud.living();
        let state = self.state();
        let on_record: Vec<(&Address, &str)> = state
            .resources
            .values()
            .chain(&state.deposed)
            .map(|record| (&record.address, record.id.as_str()))
            .collect();
        let orphans = living
            .iter()
            .filter(|(address, id)| !on_record.contains(&(address, id.as_str())))
            .map(|(address, id)| format!("{address} ({id}) exists and is not on record"));
        let ghosts = on_record
            .iter()
            .filter(|(address, id)| {
                !living
                    .iter()
                    .any(|(other, real)| other == *address && real.as_str() == *id)
            })
            .map(|(address, id)| format!("{address} ({id}) is on record and does not exist"));
        let twice = living
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0)
            .map(|pair| format!("{} exists twice", pair[0].0));
        let drained = self.cloud.drained().into_iter();
        let idle = drained.map(|address| format!("{address} is drained and stays"));
        orphans.chain(ghosts).chain(twice).chain(idle).collect()
    }
}
