//! Backups and recovery kits, as they lie in the bucket.

use super::examination::unread;
use super::verdict::Findings;
use super::{Examination, Verdict};
use crate::backup::overdue::{Looked, look};
use crate::compose::storage;
use crate::error::Failure;
use crate::interrupt::blocking;
use crate::kit::{self, Name};
use kplan_model::{ErrorKind, ObjectStore as _, ProviderError, Timestamp};
use kplan_providers::kubernetes::object::Type;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| String::new(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

fn none() -> Verdict {
    Verdict::warning("the file has no `[backup]`: nothing of this cluster is backed up").help(
        "what is not in Git is lost with it, and so are the cluster's keys with this state: there are \
         no recovery kits either. Add `[backup]` with a bucket and a schedule",
    )
}

fn first(failure: Failure) -> ProviderError {
    let first = failure.problems.into_iter().next();
    let text = first.map_or_else(String::new, |problem| problem.message);
    ProviderError::new(ErrorKind::Failed, text)
}

/// Every schedule has made its newest backup, and it is whole.
pub(super) async fn overdue(at: &Examination) -> Verdict {
    let Some(wanted) = &at.session.loaded.spec.backup else {
        return none();
    };
    let snapshot = match at.snapshot() {
        Ok(snapshot) => snapshot,
        Err(verdict) => return verdict,
    };
    let place = (at.session.place.cluster.as_str(), at.session.cloud.embedded);
    match look(wanted, snapshot, place).await {
        Ok(Some(looked)) => judged_schedules(&looked),
        Ok(None) => Verdict::not_looked("no backups are expected yet: Velero is not at work"),
        Err(failure) => unread("the bucket of the backups", &first(failure)),
    }
}

fn judged_schedules(looked: &Looked) -> Verdict {
    let mut findings = Findings::new();
    for sentence in &looked.overdue {
        findings.problem(sentence.clone());
    }
    let newest: BTreeMap<&str, String> = looked
        .newest
        .iter()
        .map(|(schedule, at)| (schedule.as_str(), shown(*at)))
        .collect();
    let well = if newest.is_empty() {
        "no backup is due yet".to_owned()
    } else {
        let each: Vec<String> = newest
            .iter()
            .map(|(schedule, at)| format!("{schedule} of {at}"))
            .collect();
        format!("no backup is overdue; the newest are {}", each.join(", "))
    };
    let mut verdict = findings.verdict(
        well,
        "on the day the cluster is lost there is nothing newer to go back to. `kplan backup verify` \
         reads the newest whole",
    );
    verdict.details["newest"] = json!(newest);
    verdict
}

/// Velero reaches its bucket.
pub(super) async fn location(at: &Examination) -> Verdict {
    if at.session.loaded.spec.backup.is_none() {
        return Verdict::not_looked("the file has no `[backup]`");
    }
    let (session, snapshot) = match (at.cluster().await, at.snapshot()) {
        (Ok(session), Ok(snapshot)) => (session, snapshot),
        (Err(verdict), _) | (_, Err(verdict)) => return verdict,
    };
    if crate::backup::overdue::expected_since(snapshot).is_none() {
        return Verdict::not_looked("Velero is not at work yet");
    }
    let of = Type::new("velero.io/v1", "BackupStorageLocation");
    match session.list(&of, "").await {
        Ok(locations) => judged_locations(&locations),
        Err(error) => unread("Velero's locations", &error),
    }
}

fn judged_locations(locations: &[Value]) -> Verdict {
    let help = "no backup is made, and none can be restored. Is the bucket there, and does its key \
                still open it? `kubectl -n velero describe backupstoragelocations` and `kubectl -n \
                velero logs deploy/velero` say more";
    if locations.is_empty() {
        return Verdict::problem("Velero has no place for backups").help(help);
    }
    let mut findings = Findings::new();
    for location in locations {
        let name = location["metadata"]["name"].as_str().unwrap_or_default();
        let said = location["status"]["message"].as_str().unwrap_or_default();
        match location["status"]["phase"].as_str() {
            Some("Available") => {}
            None | Some("") => {
                findings.warning(format!("Velero has not looked at the location {name} yet"));
            }
            Some(phase) => {
                findings.problem(format!("Velero's location {name} is {phase}: {said}"));
            }
        }
    }
    findings.verdict("Velero reaches its bucket", help)
}

/// The newest kit in the bucket is of the state as it is.
pub(super) async fn kit(at: &Examination) -> Verdict {
    if at.session.loaded.spec.backup.is_none() {
        return Verdict::not_looked("the file has no `[backup]`, so there is no place for kits");
    }
    let (snapshot, changed) = match (at.snapshot(), &at.state) {
        (Ok(snapshot), Ok(state)) => (snapshot, state.changed),
        (Err(verdict), _) => return verdict,
        (_, Err(_)) => return Verdict::not_looked("the state cannot be read"),
    };
    let Some(record) = snapshot.resources.get(&storage::kit()) else {
        return Verdict::not_looked("no recovery kit is on record yet");
    };
    let endpoint = at.session.cloud.spaces_url.clone();
    let listed = async {
        let (place, _) =
            kplan_providers::recovery::of_record(&record.args).map_err(Failure::from)?;
        let reading = move || {
            let objects = kit::objects_at(&place, endpoint.as_ref())?;
            objects.list("", None)
        };
        Ok::<_, Failure>(blocking(reading).await??)
    };
    let listing = match listed.await {
        Ok(listing) => listing,
        Err(failure) => return unread("the recovery kits", &first(failure)),
    };
    let lineage: String = snapshot.lineage.chars().take(8).collect();
    let names = listing
        .objects
        .iter()
        .filter_map(|object| Name::parse(&object.key));
    let newest = names.filter(|name| name.lineage == lineage).max();
    judged_kit(newest.as_ref(), changed)
}

fn judged_kit(newest: Option<&Name>, changed: Option<(Timestamp, u64)>) -> Verdict {
    let Some(kit) = newest else {
        return Verdict::problem("the bucket has no recovery kit of this state").help(
            "without one, a lost state is a lost cluster. `kplan apply` writes one at its end",
        );
    };
    let made = shown(Timestamp(kit.at));
    let details =
        json!({ "made": made, "serial": kit.serial, "state": changed.map(|(_, serial)| serial) });
    match changed {
        Some((at, serial)) if kit.serial < serial => Verdict::warning(format!(
            "the newest recovery kit is of {made}, serial {}; the state was changed at {}, serial \
             {serial}",
            kit.serial,
            shown(at)
        ))
        .details(details)
        .help("what changed since is not in it. `kplan apply` writes one at its end"),
        _ => Verdict::ok(format!(
            "the newest recovery kit is of {made} and of the state as it is"
        ))
        .details(details),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn a_kit_that_is_older_than_the_state_is_told() {
        let kit = Name {
            at: 0,
            serial: 40,
            lineage: "aaaaaaaa".to_owned(),
            digest: "0123456789abcdef".to_owned(),
        };
        let changed = |serial| Some((Timestamp(0), serial));
        assert_eq!(judged_kit(Some(&kit), changed(40)).outcome, Outcome::Ok);
        assert_eq!(
            judged_kit(Some(&kit), changed(41)).outcome,
            Outcome::Warning
        );
        assert_eq!(judged_kit(None, changed(40)).outcome, Outcome::Problem);
    }

    #[test]
    fn a_location_that_velero_does_not_reach_is_a_problem() {
        let location = |phase: &str| {
            let status = json!({"phase": phase, "message": "no such bucket"});
            judged_locations(&[json!({"metadata": {"name": "default"}, "status": status})])
        };
        assert_eq!(location("Available").outcome, Outcome::Ok);
        assert_eq!(location("").outcome, Outcome::Warning);
        let unavailable = location("Unavailable");
        assert_eq!(unavailable.outcome, Outcome::Problem);
        assert!(unavailable.message.ends_with("Unavailable: no such bucket"));
        assert_eq!(judged_locations(&[]).outcome, Outcome::Problem);
    }

    #[test]
    fn what_is_overdue_is_a_problem_and_what_is_not_names_the_newest() {
        let looked = |overdue: &[&str]| Looked {
            overdue: overdue.iter().map(|&text| text.to_owned()).collect(),
            newest: BTreeMap::from([("nightly".to_owned(), Timestamp(1_795_918_200_000))]),
        };
        let well = judged_schedules(&looked(&[]));
        assert_eq!(well.outcome, Outcome::Ok);
        assert!(
            well.message.contains("nightly of 2026-11-29 02:10 UTC"),
            "{well:?}"
        );
        assert_eq!(
            judged_schedules(&looked(&["late"])).outcome,
            Outcome::Problem
        );
    }
}
