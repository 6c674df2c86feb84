//! `kplan restore --snapshot`: a cluster with embedded etcd, all of whose servers are lost, begins
//! again from a snapshot that K3s copied into the backup bucket.
//!
//! The servers and, because they know no others, the agents are made anew, old agents at once: what
//! runs on there would run on beside its successor. What is in the cluster is what was in it when the
//! snapshot was taken. Nothing of it can be read before the first server is there, so what is missing
//! in it is planned after that, in a round of its own, as an apply does.

use super::{Begun, Ending, Kit, Restore, nobody_knows};
use crate::backup::{self, snapshots};
use crate::cmd::execution::Execution;
use crate::compose::{Restoring, k3s, restoring};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::interrupt::blocking;
use crate::kit;
use crate::render::Terminal;
use crate::wire::SystemClock;
use kplan_engine::clock::Clock as _;
use kplan_engine::{NotDone, Planned, WhyNot};
use kplan_model::{Action, Address, Declarations, Plan, ProviderError, Snapshot, Status, Value};
use kplan_providers::local::{EtcdSnapshot, RestoreRequestArgs};
use kplan_schema::spec::SERVERS_POOL;
use kplan_schema::value::Datastore;

const QUESTION: &str = "Do you want to begin the cluster again from this snapshot?
  kplan will make what is described above. What changed in the cluster since the snapshot is lost.
  Only 'yes' will be accepted to approve.";

/// What is said before the plan.
const WHAT: &str =
    "The servers are made anew, and begin with everything that was in the cluster then. So are the
agents, which know no servers but those that are lost: they are destroyed at once, so that nothing
runs on there beside its successor, and what is on their own disks goes with them. Volumes hold what
they held last: nothing is restored into them. Pods run again where Kubernetes puts them.";

impl<'a> Restore<'a> {
    /// The plan that begins the cluster from a snapshot, agreed to and the state ready for it.
    pub(super) async fn begin_from_snapshot(
        &self,
        mut execution: Execution<'a>,
        kit: Option<Kit>,
        snapshot: Snapshot,
        terminal: &mut Terminal,
    ) -> Result<Begun<'a>, Failure> {
        self.has_snapshots()?;
        let begun = Restoring::of(&snapshot).snapshot().cloned();
        if begun.is_none() {
            self.servers_are_lost(&snapshot).await?;
        }
        let wish = match (begun, &self.args.snapshot) {
            (Some(begun), None) => begun,
            (_, name) => {
                let name = name.as_deref().unwrap_or("latest");
                self.chosen(name, &snapshot, terminal).await?
            }
        };
        let mut next = snapshot;
        // What writing it makes of it, so that the plan is about exactly that.
        next.serial += 1;
        if Restoring::of(&next).snapshot() != Some(&wish) {
            restoring::give_up_the_nodes(&mut next);
        }
        let record = restoring::wish(&wish, SystemClock.now());
        next.resources.insert(record.address.clone(), record);
        let (planned, declarations) = self.planned_without_a_cluster(next.clone()).await?;
        self.say(
            &format!("Restoring from {}.\n\n{WHAT}\n", wish.backup),
            terminal,
        );
        self.show(&planned, &declarations, terminal).await?;
        if !self.agreed(QUESTION, terminal).await? {
            return Ok(Begun::Refused);
        }
        let document = kit.map(|kit| kit.contents.document()).transpose()?;
        execution.put(document, Some(next), terminal).await?;
        Ok(Begun::Plan(Box::new(execution), Box::new(planned)))
    }

    /// Whether there can be snapshots of the cluster in a bucket.
    fn has_snapshots(&self) -> Result<(), Failure> {
        let spec = &self.session.loaded.spec;
        if spec.datastore() != Datastore::Etcd {
            let message = format!(
                "the cluster {} does not keep its data in embedded etcd, so there is no snapshot of \
                 it: its `[k3s] datastore` is another",
                self.session.place.cluster
            );
            let problem = Problem::error("restore::no_etcd", message).help(
                "`kplan restore` brings back what a backup holds. With a managed database the \
                 cluster's objects are in that database, and DigitalOcean has its backups",
            );
            return Err(Failure::with(Exit::Refused, problem));
        }
        if spec.backup.is_none() {
            let message = format!(
                "{} has no `[backup]`, so K3s copied no snapshot of etcd anywhere",
                self.session.loaded.file
            );
            let problem = Problem::error("restore::no_snapshots", message).help(
                "those on the servers' disks are lost with them. With `[backup]` K3s copies each one \
                 into its bucket from then on",
            );
            return Err(Failure::with(Exit::Refused, problem));
        }
        Ok(())
    }

    /// The names of the servers that are there: droplets on which K3s ran at any time, whether it does
    /// now or not. One that an apply made in vain has nothing on it.
    pub(super) async fn servers_there(&self, snapshot: &Snapshot) -> Result<Vec<String>, Failure> {
        let there = self.session.adapters.droplets_of(&snapshot.owner).await?;
        let droplets = snapshot.resources.values().filter(|record| {
            let at = &record.address;
            at.kind().as_str() == "droplet" && at.name() == SERVERS_POOL
        });
        let stands = droplets.filter_map(|droplet| {
            let name = there.get(droplet.id.as_str())?;
            let node = k3s::node(SERVERS_POOL, droplet.address.index()?);
            let node = snapshot.resources.get(&node)?;
            let started = node.attribute("phase") == Some(Value::str("started"));
            let own = node.attribute("droplet_id") == Some(Value::str(droplet.id.as_str()));
            (own && (started || node.status == Status::Ready)).then(|| name.clone())
        });
        Ok(stands.collect())
    }

    /// Refuses a cluster of which a server is there.
    async fn servers_are_lost(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let stands = self.servers_there(snapshot).await?;
        if stands.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the cluster {} is not lost, these of its servers are there: {}",
            self.session.place.cluster,
            stands.join(", ")
        );
        let problem = Problem::error("restore::not_lost", message).help(
            "nothing was changed. A server that does not run is started or, with `kplan apply \
             --replace`, replaced, and joins the others; where all are beyond repair, destroy their \
             droplets first. To go back after a mistake in a living \
             cluster, K3s's own `--cluster-reset` on a server is the way: docs/guide/recovery.md, \
             \"Snapshots of etcd\"",
        );
        Err(Failure::with(Exit::Refused, problem))
    }

    /// The snapshot of that name, or the newest: read once to its end, so that the server can tell
    /// whether what it gets is this.
    async fn chosen(
        &self,
        name: &str,
        snapshot: &Snapshot,
        terminal: &mut Terminal,
    ) -> Result<RestoreRequestArgs, Failure> {
        let session = self.session;
        let (loaded, cloud) = (&session.loaded, &session.cloud);
        let place = backup::place(loaded, cloud, &self.secrets, Some(snapshot))?;
        let objects = kit::objects_at(&place, None)?;
        let (cluster, wanted) = (session.place.cluster.clone(), name.to_owned());
        // An earlier cluster of that name had another token, which opens its snapshots alone.
        let Some(since) = snapshot.resources.get(&k3s::pki()) else {
            let message = "the keys of the cluster are not on record, and without its token no snapshot \
                           of it can be opened";
            let problem = Problem::error("snapshot::no_keys", message)
                .help("a recovery kit from before holds them: name it with --kit");
            return Err(Failure::with(Exit::Refused, problem));
        };
        let since = since.created_at;
        let looking = move || -> Result<_, ProviderError> {
            let mut all = snapshots::all(&objects, &cluster)?;
            all.retain(|one| one.taken >= since);
            let found = if wanted == "latest" {
                all.pop()
            } else {
                all.into_iter().find(|one| one.name == wanted)
            };
            let Some(found) = found else {
                return Ok(None);
            };
            Ok(objects.digest(&found.key)?.map(|read| (read, found)))
        };
        let read = blocking(looking).await??;
        let Some(((size, sha256), found)) = read else {
            let message = if name == "latest" {
                format!("the bucket {} has no snapshot of etcd", place.bucket)
            } else {
                format!("the bucket {} has no snapshot named {name}", place.bucket)
            };
            let help = "`kplan backup list` shows those that are there; ones from before the cluster's \
                        keys were made are another cluster's. Without any, `kplan restore` brings back \
                        what a backup holds";
            return Err(Problem::error("snapshot::missing", message)
                .help(help)
                .into());
        };
        let taken = found.taken();
        self.say(
            &format!("{} was taken at {taken}: {size} bytes.", found.name),
            terminal,
        );
        Ok(RestoreRequestArgs {
            source: None,
            backup: found.name,
            excluded_namespaces: Vec::new(),
            accept_partial: false,
            snapshot: Some(EtcdSnapshot {
                key: format!("{}{}", place.prefix, found.key),
                size: i64::try_from(size).unwrap_or(i64::MAX),
                sha256,
            }),
        })
    }

    /// A plan in which nothing was unreadable but what is in the cluster, and the cluster itself. What
    /// those stand on, the agents, waits for them until the next round.
    async fn planned_without_a_cluster(
        &self,
        snapshot: Snapshot,
    ) -> Result<(Planned, Declarations), Failure> {
        let (planned, declarations) = self.looked_at(snapshot).await?;
        let cluster = k3s::cluster();
        let inside = |at: &Address| {
            let record = planned.snapshot.resources.get(at);
            *at == cluster || record.is_some_and(|it| it.meta.inside.as_ref() == Some(&cluster))
        };
        let blinds =
            |item: &&NotDone| matches!(item.why, WhyNot::Unreadable(_)) && !inside(&item.address);
        let unread: Vec<&NotDone> = planned.report.not_done.iter().filter(blinds).collect();
        if unread.is_empty() {
            return Ok((planned, declarations));
        }
        Err(nobody_knows(unread))
    }
}

/// The wish goes off the record once the cluster began, where the rounds before did not take it.
pub(super) const ENDING: Ending = Ending {
    is_end: only_the_wish_goes,
    back: "the cluster is back",
    meanwhile: "",
    way: "run `kplan apply`: its plan shows it, and ends the restore",
    said: |_| "\nThe cluster is back. That it is being restored goes from the record:\n".to_owned(),
};

fn only_the_wish_goes(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| match step.action {
        Action::Delete => step.address == restoring::request(),
        Action::Record | Action::Forget => true,
        Action::Create | Action::Update | Action::Operate => false,
    })
}
