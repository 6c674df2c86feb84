//! `kplan rotate`: an apply that makes secrets anew. What uses one gets the new one before the old one
//! goes.
//!
//! Some are resources of their own, which are replaced. What the nodes hold is told to them: that it
//! has to be new goes on record with the consent ([`rotating`]), and the plan is what follows from it,
//! whoever carries it on.

use crate::cli::{ApplyArgs, Global, PlanningArgs, RotateArgs, Rotated};
use crate::cmd::state::view;
use crate::cmd::{apply, managed};
use crate::compose::{Rotating, database, k3s, platform, rotating};
use crate::error::{CommandResult, Failure, Problem};
use crate::load;
use crate::render::Terminal;
use crate::wire::SystemClock;
use kplan_engine::clock::Clock as _;
use kplan_model::{Address, Snapshot};
use kplan_providers::local::RotationArgs;

/// Runs it.
pub async fn run(global: &Global, args: &RotateArgs, terminal: &mut Terminal) -> CommandResult {
    let snapshot = view(global, terminal)?.snapshot;
    let mut replace = Vec::new();
    let mut told: Vec<(Rotated, Since)> = Vec::new();
    for what in &args.what {
        let found = on_record(*what, &snapshot);
        if found.is_empty() {
            let loaded = load::file(&global.file).ok();
            let none = loaded.and_then(|loaded| managed::nothing_to_do(&loaded));
            return Err(none.unwrap_or_else(|| nothing(*what, &snapshot)));
        }
        if *what == Rotated::ServerToken && Rotating::of(&snapshot).is_exchanging() {
            return Err(under_way());
        }
        match since(*what) {
            Some(field) => told.push((*what, field)),
            None => replace.extend(found.iter().map(ToString::to_string)),
        }
    }
    let planning = PlanningArgs {
        target: Vec::new(),
        replace,
        refresh_only: false,
        refresh: true,
        allow_destroy: Vec::new(),
        skip_operation: Vec::new(),
        preflight: args.preflight.clone(),
        secrets: args.secrets,
    };
    let run = args.run.clone();
    let args = ApplyArgs {
        plan: None,
        confirm: None,
        planning,
        run,
    };
    if told.is_empty() {
        return Box::pin(apply::run(global, &args, terminal)).await;
    }
    let now = SystemClock.now();
    let wish = move |snapshot: &mut Snapshot| {
        let before = Rotating::of(snapshot);
        let mut args = before.args();
        // Another run may have begun an exchange since this one looked, and servers know two tokens at
        // most: that one is ended instead.
        for (what, field) in &told {
            if *what != Rotated::ServerToken || !before.is_exchanging() {
                *field(&mut args) = Some(now.0);
            }
        }
        let record = rotating::record(&args, now);
        snapshot.resources.insert(record.address.clone(), record);
    };
    Box::pin(apply::run_for(global, &args, Some(&wish), terminal)).await
}

/// Where it stands since when something has to be new.
type Since = fn(&mut RotationArgs) -> &mut Option<i64>;

/// Of what the nodes are told.
fn since(what: Rotated) -> Option<Since> {
    match what {
        Rotated::Certificates => Some(|args| &mut args.certificates),
        Rotated::AgentToken => Some(|args| &mut args.agent_token),
        Rotated::ServerToken => Some(|args| &mut args.server_token),
        Rotated::DatastorePassword => Some(|args| &mut args.datastore_password),
        Rotated::SpacesKeys | Rotated::ArgocdPassword | Rotated::KitKey => None,
    }
}

/// Servers know two tokens, not three.
fn under_way() -> Failure {
    let message =
        "the server token is being exchanged already: not all servers have the new one yet";
    Problem::error("rotate::under_way", message)
        .help("nothing was changed. `kplan apply` carries it on; after that it can be made anew again")
        .into()
}

fn on_record(what: Rotated, snapshot: &Snapshot) -> Vec<&Address> {
    let is_it = |address: &&Address| match what {
        Rotated::SpacesKeys => address.kind().as_str() == "spaces_key",
        Rotated::ArgocdPassword => **address == platform::argocd_admin(),
        Rotated::KitKey => address.kind().as_str() == "signing_key",
        Rotated::Certificates => address.kind().as_str() == "k3s_node",
        Rotated::AgentToken | Rotated::ServerToken => **address == k3s::pki(),
        Rotated::DatastorePassword => **address == database::user(),
    };
    snapshot.resources.keys().filter(is_it).collect()
}

fn nothing(what: Rotated, snapshot: &Snapshot) -> Failure {
    let message = format!("this cluster has no {}", name(what));
    let problem = Problem::error("rotate::nothing", message);
    let of_admin =
        what == Rotated::DatastorePassword && snapshot.resources.contains_key(&database::cluster());
    let help = if of_admin {
        "K3s logs in as the database's administrator, whose password is made anew in the control \
         panel; the next apply tells the servers"
    } else {
        "`kplan show` says what is on record"
    };
    problem.help(help).into()
}

fn name(what: Rotated) -> &'static str {
    match what {
        Rotated::SpacesKeys => "keys of buckets on record",
        Rotated::ArgocdPassword => "password of Argo CD's administrator on record",
        Rotated::KitKey => "key for recovery kits on record",
        Rotated::Certificates => "node on record",
        Rotated::AgentToken | Rotated::ServerToken => "tokens on record",
        Rotated::DatastorePassword => "user of a managed database on record",
    }
}
