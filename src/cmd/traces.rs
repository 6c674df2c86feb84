//! What a destroy looks for at its end: by what the cluster's resources are told from others, and
//! everything that was on record. It stays on record itself until all of it was seen gone: a destroy
//! that is run again looks for it once more.

use crate::cmd::leavings::{Left, recorded, told};
use crate::cmd::session::Session;
use crate::compose::leavings::{is_no_resource, traces as address};
use crate::price::{Cents, Staying};
use crate::relocate;
use kplan_engine::Planned;
use kplan_model::{
    Address, Kind, Known, Object, ObjectCodec as _, Recorded, RemoteId, Snapshot, Value,
};
use kplan_providers::digitalocean::{Traced, TracedKept, Traces, TracesArgs};
use std::collections::{BTreeMap, BTreeSet};

/// What a destroy looks for.
#[derive(Default)]
pub struct Trail {
    /// Marks, names, and ids of what stays.
    pub marks: Traces,
    /// Everything that was on record and exists in the account, by kind.
    pub records: BTreeMap<Kind, Vec<Known>>,
    /// What stays of what the cluster made.
    pub made: Vec<TracedKept>,
    /// What stays because the file gives it away.
    pub given: Vec<TracedKept>,
    /// What stays since an earlier destroy, where it is still there.
    pub earlier: Vec<TracedKept>,
}

impl Trail {
    /// Of the state with everything found on record, and of what an earlier destroy looked for and did
    /// not see gone.
    pub fn of(session: &Session, planned: &Planned, left: &Left) -> Self {
        let snapshot = &planned.snapshot;
        let released = relocate::kept_from_all(&session.loaded.spec, snapshot);
        let kinds = session.kinds();
        let exists = |record: &&Recorded| {
            let info = kinds.get(record.address.kind());
            let in_account = info.is_some_and(|info| info.terraform.starts_with("digitalocean_"));
            // A bucket is only shown to its key, which goes with it. That it is gone was seen then.
            in_account
                && record.address.kind().as_str() != "bucket"
                && !is_no_resource(&record.address)
        };
        let stays = |record: &&Recorded| released.contains_key(&record.address);
        let all = snapshot.resources.values().chain(&snapshot.deposed);
        let going = all.filter(|record| !stays(record)).filter(exists);
        let going: Vec<&Recorded> = going.collect();
        // What the file gives away stays, and is no remainder.
        let given = snapshot.resources.values().filter(stays).filter(exists);
        let mut trail = Self::default();
        trail.marks.tag = snapshot.owner.tag();
        trail.marks.others.clone_from(&left.others);
        trail.made = left
            .kept
            .iter()
            .zip(left.priced())
            .map(|(one, priced)| kept(&one.attrs.id, told(one), &priced))
            .collect();
        trail.given = given
            .map(|record| given_away(planned, record, &going))
            .collect();
        for record in going {
            trail.add(record.known(), record.attribute("name"));
        }
        if let Some(earlier) = &left.earlier {
            trail.go_on_from(earlier);
        }
        trail.settle();
        trail
    }

    /// What stays is looked for no more, whoever looked for it before.
    fn settle(&mut self) {
        let kept = [&self.made, &self.given, &self.earlier];
        let kept = kept.into_iter().flatten();
        self.marks.kept = kept.map(|one| one.id.clone()).collect();
        let kept = &self.marks.kept;
        for known in self.records.values_mut() {
            known.retain(|one| !kept.contains(one.id.as_str()));
        }
        self.records.retain(|_, known| !known.is_empty());
    }

    fn add(&mut self, known: Known, name: Option<Value>) {
        let kind = known.address.kind();
        if kind.as_str() == "vpc" {
            self.marks.vpcs.insert(known.id.as_str().to_owned());
        }
        if let (Some(what), Some(Value::Str(name))) = (called(kind.as_str()), name) {
            let names = self.marks.names.entry(what.to_owned()).or_default();
            names.insert(name.as_str().to_owned());
        }
        self.records.entry(kind.clone()).or_default().push(known);
    }

    /// With what an earlier destroy looked for.
    fn go_on_from(&mut self, earlier: &TracesArgs) {
        self.marks.vpcs.extend(earlier.vpcs.iter().cloned());
        self.marks.others.extend(earlier.others.iter().cloned());
        for (what, names) in &earlier.names {
            let all = self.marks.names.entry(what.clone()).or_default();
            all.extend(names.iter().cloned());
        }
        // What somebody kept stays kept, unless it goes now.
        let kept: BTreeSet<&str> = earlier.kept.iter().map(|one| one.id.as_str()).collect();
        let open = earlier.records.iter();
        for one in open.filter(|one| !kept.contains(one.id.as_str())) {
            let Ok(address) = one.address.parse::<Address>() else {
                continue;
            };
            let known = self.records.entry(address.kind().clone()).or_default();
            if known.iter().all(|it| it.id.as_str() != one.id) {
                known.push(Known {
                    address,
                    id: RemoteId::new(&one.id),
                    args: Object::new(),
                    attrs: Object::new(),
                });
            }
        }
        let mut decided: BTreeSet<&str> = BTreeSet::new();
        let stays = self.made.iter().chain(&self.given);
        decided.extend(stays.map(|one| one.id.as_str()));
        decided.extend(self.records.values().flatten().map(|one| one.id.as_str()));
        let open = earlier.kept.iter();
        let open = open.filter(|one| !decided.contains(one.id.as_str()));
        self.earlier = open.cloned().collect();
    }

    /// Puts it on record in that state, so that the next destroy goes on from it. Whether that changed it.
    pub fn put(&self, snapshot: &mut Snapshot) -> bool {
        let address = address();
        let before = snapshot.resources.get(&address).map(|record| &record.args);
        let object = self.args().to_object();
        let nothing = self.records.is_empty() && before.is_none();
        if nothing || before == Some(&object) {
            return false;
        }
        let id = address.kind().as_str();
        let record = recorded(address.clone(), id, (object.clone(), object), Vec::new());
        snapshot.resources.insert(address, record);
        true
    }

    fn args(&self) -> TracesArgs {
        let names = self.marks.names.iter();
        let records = self.records.values().flatten();
        let kept = [&self.made, &self.given, &self.earlier];
        TracesArgs {
            vpcs: self.marks.vpcs.iter().cloned().collect(),
            records: records
                .map(|one| Traced {
                    address: one.address.to_string(),
                    id: one.id.to_string(),
                })
                .collect(),
            names: names
                .map(|(what, names)| (what.clone(), names.iter().cloned().collect()))
                .collect(),
            kept: kept.into_iter().flatten().cloned().collect(),
            others: self.marks.others.iter().cloned().collect(),
        }
    }
}

fn kept(id: &str, told: String, priced: &Staying) -> TracedKept {
    TracedKept {
        id: id.to_owned(),
        told,
        monthly: priced.monthly.map(|cents| cents.0),
    }
}

/// What the file gives away, with what it costs once everything else is gone: as it was seen, and an
/// address without the droplet that it led to.
fn given_away(planned: &Planned, record: &Recorded, going: &[&Recorded]) -> TracedKept {
    let seen = planned.plan.refreshed.iter();
    let mut seen = seen.filter(|it| it.address == record.address && it.id == record.id);
    let record = seen.next().unwrap_or(record);
    let goes = |id: &Value| {
        let is_it = |other: &&Recorded| {
            other.address.kind().as_str() == "droplet" && *id == Value::str(other.id.as_str())
        };
        going.iter().any(is_it)
    };
    let look = |field: &str| match field {
        "priced_size" => record.attrs.get("size").cloned(),
        "droplet_id" => record.attribute(field).filter(|id| !goes(id)),
        _ => record.attribute(field),
    };
    let told = format!("{} ({})", record.address, record.id);
    let priced = Staying::seen(told.clone(), record.address.kind(), &look);
    kept(record.id.as_str(), told, &priced)
}

/// Moves what was let go of and stays from what is looked for to what was kept. Whether that changed
/// anything.
pub fn let_go(snapshot: &mut Snapshot, gone: &[Recorded]) -> bool {
    let Some(mut traces) = earlier(snapshot) else {
        return false;
    };
    let before = traces.records.len();
    for record in gone {
        let id = record.id.as_str();
        if !traces.records.iter().any(|one| one.id == id) {
            continue;
        }
        traces.records.retain(|one| one.id != id);
        let told = format!("{} ({id})", record.address);
        let look = |field: &str| record.attribute(field);
        let priced = Staying::seen(told.clone(), record.address.kind(), &look);
        traces.kept.push(kept(id, told, &priced));
    }
    if traces.records.len() == before {
        return false;
    }
    let Some(record) = snapshot.resources.get_mut(&address()) else {
        return false;
    };
    record.args = traces.to_object();
    record.attrs = traces.to_object();
    true
}

/// With its price, as the sums name it.
pub fn staying(one: &TracedKept) -> Staying {
    Staying {
        what: one.told.clone(),
        monthly: one.monthly.map(Cents),
    }
}

/// What an earlier destroy looked for and did not see gone.
pub fn earlier(snapshot: &Snapshot) -> Option<TracesArgs> {
    let record = snapshot.resources.get(&address())?;
    TracesArgs::from_object(&record.args).ok()
}

/// What [`Traces`] call what has names.
pub fn called(kind: &str) -> Option<&'static str> {
    match kind {
        "droplet" => Some("droplet"),
        "load_balancer" | "cluster_load_balancer" => Some("load balancer"),
        "volume" | "cluster_volume" => Some("volume"),
        "cluster_snapshot" => Some("snapshot"),
        "database" => Some("database"),
        "firewall" => Some("firewall"),
        "vpc" => Some("VPC"),
        "tag" => Some("tag"),
        _ => None,
    }
}
