//! `kplan rotate`: an apply that makes secrets anew. What uses one gets the new one before the old one
//! goes.

use crate::cli::{ApplyArgs, Global, PlanningArgs, RotateArgs, Rotated};
use crate::cmd::apply;
use crate::cmd::state::view;
use crate::error::{CommandResult, Problem};
use crate::render::Terminal;
use kplan_model::{Address, Snapshot};

/// Runs it.
pub async fn run(global: &Global, args: &RotateArgs, terminal: &mut Terminal) -> CommandResult {
    let snapshot = view(global, terminal)?.snapshot;
    let mut replace = Vec::new();
    for what in &args.what {
        let found = on_record(*what, &snapshot);
        if found.is_empty() {
            let message = format!("this cluster has no {}", name(*what));
            return Err(Problem::error("rotate::nothing", message)
                .help("`kplan show` says what is on record")
                .into());
        }
        replace.extend(found.iter().map(ToString::to_string));
    }
    let planning = PlanningArgs {
        target: Vec::new(),
        replace,
        refresh_only: false,
        refresh: true,
        allow_destroy: Vec::new(),
        skip_operation: Vec::new(),
        secrets: args.secrets,
    };
    let run = args.run.clone();
    Box::pin(apply::run(global, &ApplyArgs { planning, run }, terminal)).await
}

fn on_record(what: Rotated, snapshot: &Snapshot) -> Vec<&Address> {
    let is_it = |address: &&Address| match what {
        Rotated::SpacesKeys => address.kind().as_str() == "spaces_key",
        Rotated::ArgocdPassword => **address == crate::compose::platform::argocd_admin(),
        Rotated::KitKey => address.kind().as_str() == "signing_key",
    };
    snapshot.resources.keys().filter(is_it).collect()
}

fn name(what: Rotated) -> &'static str {
    match what {
        Rotated::SpacesKeys => "keys of buckets on record",
        Rotated::ArgocdPassword => "password of Argo CD's administrator on record",
        Rotated::KitKey => "key for recovery kits on record",
    }
}
