//! The order among steps that could run: longest remaining path first, then by address.

use kplan_model::{Kind, Plan, Registry, Step};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// For each step, the seconds it and the longest chain of steps behind it are expected to take.
pub(super) fn remaining_paths(plan: &Plan, registry: &Registry) -> Vec<u64> {
    let mut remaining: Vec<u64> = vec![0; plan.steps.len()];
    for (at, step) in plan.steps.iter().enumerate().rev() {
        // Everything that requires this step has a greater number and has added itself.
        remaining[at] += u64::from(typical(step, registry));
        let own = remaining[at];
        for first in requirements(step) {
            if let Some(slot) = remaining.get_mut(first) {
                *slot = (*slot).max(own);
            }
        }
    }
    remaining
}

/// The places of the steps it requires.
pub(super) fn requirements(step: &Step) -> impl Iterator<Item = usize> {
    step.requires
        .iter()
        .filter_map(|id| usize::try_from(id.0).ok())
}

fn typical(step: &Step, registry: &Registry) -> u32 {
    let Some(info) = registry.info(step.address.kind()) else {
        return 0;
    };
    step.typical(info)
}

/// Steps that could run, by kind.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Per kind: (remaining path, step), the greatest path and then the smallest step on top.
    /// Steps are numbered by dependency and address, so the number stands for the address.
    ready: BTreeMap<Kind, BinaryHeap<(u64, Reverse<usize>)>>,
    /// Per kind: how many calls run.
    running: BTreeMap<Kind, usize>,
}

impl Queue {
    pub(super) fn push(&mut self, kind: &Kind, remaining: u64, step: usize) {
        let heap = self.ready.entry(kind.clone()).or_default();
        heap.push((remaining, Reverse(step)));
    }

    /// The most urgent step whose kind may run one more call; it counts as running from now on.
    pub(super) fn pop(&mut self, registry: &Registry) -> Option<usize> {
        let free = |kind: &Kind| {
            let most = registry
                .info(kind)
                .map_or(1, |info| info.max_parallel.max(1));
            self.running.get(kind).copied().unwrap_or(0) < most
        };
        let (_, kind) = self
            .ready
            .iter()
            .filter(|(kind, _)| free(kind))
            .filter_map(|(kind, heap)| Some((*heap.peek()?, kind)))
            .max()?;
        let kind = kind.clone();
        let (_, Reverse(step)) = self.ready.get_mut(&kind)?.pop()?;
        *self.running.entry(kind).or_default() += 1;
        Some(step)
    }

    /// Whether nothing could run.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.values().all(BinaryHeap::is_empty)
    }

    /// The steps of a kind that could run, in no order.
    pub(super) fn of(&self, kind: &Kind) -> Vec<usize> {
        let ready = self.ready.get(kind).into_iter().flatten();
        ready.map(|(_, Reverse(step))| *step).collect()
    }

    /// One more call of the kind runs, whether or not there is room.
    pub(super) fn take(&mut self, kind: &Kind) {
        *self.running.entry(kind.clone()).or_default() += 1;
    }

    /// A call of the kind ended.
    pub(super) fn release(&mut self, kind: &Kind) {
        if let Some(running) = self.running.get_mut(kind) {
            *running = running.saturating_sub(1);
        }
    }

    /// Takes out everything of a kind that waits.
    pub(super) fn take_kind(&mut self, kind: &Kind) -> Vec<usize> {
        let steps = self.of(kind);
        self.ready.remove(kind);
        steps
    }

    /// Takes out everything that waits.
    pub(super) fn drain(&mut self) -> Vec<usize> {
        let heaps = std::mem::take(&mut self.ready).into_values();
        let mut steps: Vec<usize> = heaps.flatten().map(|(_, Reverse(step))| step).collect();
        steps.sort_unstable();
        steps
    }
}

/// The longest chain of measured durations: its length in seconds and its steps.
pub(super) fn critical_path(plan: &Plan, seconds: &[f64]) -> (f64, Vec<usize>) {
    let mut path: Vec<f64> = Vec::with_capacity(seconds.len());
    let mut before: Vec<Option<usize>> = Vec::with_capacity(seconds.len());
    for (at, step) in plan.steps.iter().enumerate() {
        let longest = requirements(step)
            .filter(|first| *first < at)
            .max_by(|a, b| path[*a].total_cmp(&path[*b]).then(b.cmp(a)));
        path.push(seconds[at] + longest.map_or(0.0, |first| path[first]));
        before.push(longest);
    }
    let end = (0..path.len()).max_by(|a, b| path[*a].total_cmp(&path[*b]).then(b.cmp(a)));
    let mut chain: Vec<usize> = std::iter::successors(end, |at| before[*at]).collect();
    chain.reverse();
    (end.map_or(0.0, |at| path[at]), chain)
}
