//! Files without a cluster of kplan's, and what is said there by what needs one.
//!
//! `[k3s] managed` stays what it was when the droplets were made: what kplan put on a droplet it does
//! not take off again, and on a droplet that has booted it puts nothing.

use crate::cmd::session::Session;
use crate::compose::{k3s, nodes};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::load::{self, Loaded};
use kplan_model::{Address, Snapshot, Value};
use kplan_schema::Spec;

/// Why kplan runs no cluster by that file; nothing where it does.
pub fn why_none(spec: &Spec) -> Option<&'static str> {
    match (spec.runs_k3s(), spec.has_servers()) {
        (true, _) => None,
        (false, true) => Some("K3s on these droplets is somebody else's (`[k3s] managed = false`)"),
        (false, false) => Some("the file describes no cluster: it has no `[servers]`"),
    }
}

/// What a command says that has nothing to do without a cluster of kplan's; nothing where the file
/// describes one.
pub fn nothing_to_do(loaded: &Loaded) -> Option<Failure> {
    let problem = Problem::error("k3s::none", why_none(&loaded.spec)?).help(
        "kplan has neither credentials nor backups of a cluster that it did not make: ask whoever \
         made it. For a cluster of kplan's, name a file with `[servers]` with -f",
    );
    Some(problem.into())
}

/// Refuses a file that says otherwise of `[k3s] managed` than what is on record.
///
/// # Errors
/// `k3s::managed` and `k3s::not_managed`, which refuse the plan.
pub fn stays(session: &Session, snapshot: &Snapshot) -> Result<(), Failure> {
    let spec = &session.loaded.spec;
    let managed = &spec.k3s.managed;
    let problem = if spec.runs_k3s() {
        let Some(droplet) = without_bundle(session, snapshot) else {
            return Ok(());
        };
        let message = format!("{droplet} is there already, and K3s on it is not kplan's");
        let problem = Problem::error("k3s::not_managed", message).help(
            "nothing was changed. kplan makes a node of a droplet at its first boot and never later. \
             `[k3s] managed = false` manages the droplets alone; for a cluster of kplan's make new \
             droplets, in another file, and move what runs there",
        );
        session.at(problem, load::origin(managed.span.or(spec.servers.span)))
    } else {
        let made = snapshot.resources.contains_key(&k3s::cluster());
        if !made {
            return Ok(());
        }
        let (message, help) = if managed.value {
            (
                format!(
                    "{} is on record, and the file has no `[servers]` any more",
                    k3s::cluster()
                ),
                "nothing was changed. What the cluster made (volumes, load balancers) would be left \
                 behind: `kplan destroy` takes a cluster down. Put `[servers]` back, destroy, and apply \
                 the rest of the file after that",
            )
        } else {
            (
                format!(
                    "K3s on these droplets is kplan's: {} made it",
                    k3s::cluster()
                ),
                "nothing was changed. `managed = false` would destroy the cluster's keys, firewalls and \
                 add-ons, and leave droplets that nobody can reach. Put `managed = true` back",
            )
        };
        let problem = Problem::error("k3s::managed", message).help(help);
        session.at(problem, load::origin(managed.span))
    };
    Err(Failure::with(Exit::Refused, problem))
}

/// A droplet of a pool that was made, or taken over, as none of kplan's nodes.
fn without_bundle(session: &Session, snapshot: &Snapshot) -> Option<Address> {
    let pools = session.loaded.spec.pools();
    let mut all = pools.flat_map(|pool| {
        (0..pool.count().value).map(move |index| nodes::droplet(pool.name(), index))
    });
    all.find(|address| {
        let record = snapshot.resources.get(address);
        record.is_some_and(|record| matches!(record.args.get("boot"), None | Some(Value::Null)))
    })
}
