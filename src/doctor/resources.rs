//! Everything on record: whether it is there and does what it is for.

use super::examination::{needs_the_api, unread};
use super::verdict::{Findings, Outcome};
use super::{Examination, Verdict};
use crate::compose::platform;
use kplan_model::{Object, Observation, ProviderError, Readiness, Recorded, Status, Value};
use kplan_providers::kubernetes::bundle::APPLIED;
use kplan_providers::kubernetes::object::Object as Kubernetes;
use serde_json::Value as Json;

/// What is at DigitalOcean, in its buckets, and with kplan alone.
pub(super) async fn cloud(at: &Examination) -> Verdict {
    looked(
        at,
        "resources on record are there and ready",
        |record| !needs_the_api(record),
        "`kplan plan` shows what an apply would make again or change",
    )
    .await
}

/// The cluster, and what kplan installed in it.
pub(super) async fn cluster(at: &Examination) -> Verdict {
    if let Err(verdict) = at.cluster().await {
        return verdict;
    }
    looked(
        at,
        "parts of the cluster are there and ready",
        needs_the_api,
        "`kplan plan` shows what an apply would repair. What only waits says for what; `kubectl \
         describe` and `kubectl logs` of that object say more",
    )
    .await
}

async fn looked(
    at: &Examination,
    well: &str,
    is_of: impl Fn(&Recorded) -> bool,
    help: &str,
) -> Verdict {
    let (snapshot, observations) = match (at.snapshot(), at.observed().await) {
        (Ok(snapshot), Ok(observations)) => (snapshot, observations),
        (Err(verdict), _) | (_, Err(verdict)) => return verdict,
    };
    let mut findings = Findings::new();
    let mut unreadable: Vec<(&Recorded, &ProviderError)> = Vec::new();
    let mut well_off = 0_usize;
    for record in snapshot.resources.values().filter(|record| is_of(record)) {
        let Some(seen) = observations.get(&record.address) else {
            continue;
        };
        let readiness = |attrs: &Object| {
            let entry = at.session.adapters.registry.get(record.address.kind());
            entry.map_or(Ok(Readiness::Ready), |entry| entry.observe.readiness(attrs))
        };
        match (judged(record, seen, &readiness), seen) {
            (_, Observation::Unreadable(error)) => unreadable.push((record, error)),
            (None, _) => well_off += 1,
            (Some((Outcome::Problem, text)), _) => findings.problem(text),
            (Some((_, text)), _) => findings.warning(text),
        }
    }
    for text in together(&unreadable) {
        findings.problem(text);
    }
    if well_off == 0 && findings.is_empty() {
        return Verdict::not_looked("nothing of it is on record yet");
    }
    findings.verdict(format!("{well_off} {well}"), help)
}

/// What cannot be read for the same reason is told once.
fn together(unreadable: &[(&Recorded, &ProviderError)]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (record, error) in unreadable {
        let address = record.address.to_string();
        match reasons.iter_mut().find(|(why, _)| *why == error.message) {
            Some((_, addresses)) => addresses.push(address),
            None => reasons.push((&error.message, vec![address])),
        }
    }
    let sentence = |(why, addresses): &(&str, Vec<String>)| {
        format!("{} cannot be read: {why}", addresses.join(", "))
    };
    reasons.iter().map(sentence).collect()
}

/// What is wrong with one; nothing where all is well or it was not read.
fn judged(
    record: &Recorded,
    seen: &Observation,
    readiness: &dyn Fn(&Object) -> Result<Readiness, ProviderError>,
) -> Option<(Outcome, String)> {
    let address = &record.address;
    let attrs = match seen {
        Observation::Present(attrs) => attrs,
        Observation::Absent | Observation::Gone => {
            return Some((Outcome::Problem, format!("{address} is gone")));
        }
        Observation::Unreadable(_) | Observation::NotRead => return None,
    };
    match readiness(attrs) {
        Ok(Readiness::Ready) => {}
        Ok(Readiness::Waiting(what)) => {
            return Some((Outcome::Warning, format!("{address} waits: {what}")));
        }
        Ok(Readiness::Failed(why)) => {
            return Some((Outcome::Problem, format!("{address} failed: {why}")));
        }
        Err(error) => {
            return Some((Outcome::Problem, format!("{address}: {}", error.message)));
        }
    }
    // Of a bundle: objects that are missing or not as they were applied.
    if let Some(Value::Str(objects)) = attrs.get("objects")
        && objects.as_str() != APPLIED
    {
        return Some((Outcome::Problem, format!("{address}: {objects}")));
    }
    match record.status {
        Status::Ready => None,
        Status::Unfinished => Some((
            Outcome::Warning,
            format!("{address} was not seen working since it was changed"),
        )),
        Status::Tainted => Some((
            Outcome::Problem,
            format!("{address} failed and is to be made anew"),
        )),
    }
}

/// Everything from Git is there as Git says.
pub(super) async fn root_application(at: &Examination) -> Verdict {
    if at.session.loaded.spec.gitops.is_none() {
        return Verdict::not_looked("the file has no `[gitops]`");
    }
    let (session, snapshot) = match (at.cluster().await, at.snapshot()) {
        (Ok(session), Ok(snapshot)) => (session, snapshot),
        (Err(verdict), _) | (_, Err(verdict)) => return verdict,
    };
    if !snapshot
        .resources
        .contains_key(&platform::root_application())
    {
        return Verdict::not_looked("the root Application is not on record yet");
    }
    let root = Kubernetes::new(
        "argoproj.io/v1alpha1",
        "Application",
        Some("argocd"),
        "root",
    );
    match session.get(&root).await {
        Ok(application) => judged_application(application.as_ref()),
        Err(error) => unread("the root Application", &error),
    }
}

fn judged_application(application: Option<&Json>) -> Verdict {
    let help = "what is in Git is not what runs. `kubectl -n argocd describe application root` says \
                which resource it is about";
    let Some(application) = application else {
        return Verdict::problem("the root Application is gone")
            .help("nothing comes from Git any more; `kplan apply` makes it again");
    };
    let text = |path: &str| application.pointer(path).and_then(Json::as_str);
    let sync = text("/status/sync/status").unwrap_or("not compared yet");
    let health = text("/status/health/status").unwrap_or("of unknown health");
    let said = [
        "/status/operationState/message",
        "/status/conditions/0/message",
    ];
    let said = said.iter().find_map(|path| text(path));
    let said = said.filter(|text| !text.is_empty());
    let message = match said {
        Some(said) => format!("the root Application is {sync}, {health}: {said}"),
        None => format!("the root Application is {sync}, {health}"),
    };
    let details = serde_json::json!({ "sync": sync, "health": health });
    let verdict = match (sync, health) {
        ("Synced", "Healthy") => Verdict::ok(format!("the root Application is {sync}, {health}")),
        ("Unknown", _) | (_, "Degraded" | "Missing") => Verdict::problem(message).help(help),
        _ => Verdict::warning(message).help(help),
    };
    verdict.details(details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::{Meta, RemoteId, Timestamp};
    use serde_json::json;
    use std::collections::BTreeSet;

    fn record(status: Status) -> Recorded {
        Recorded {
            address: "velero.main".parse().unwrap(),
            id: RemoteId::new("x"),
            args: Object::new(),
            attrs: Object::new(),
            meta: Meta::default(),
            depends_on: vec![],
            status,
            created_at: Timestamp(0),
            operations: BTreeSet::new(),
            version: 1,
        }
    }

    fn judge(status: Status, objects: &str, readiness: &Readiness) -> Option<Outcome> {
        let mut attrs = Object::new();
        attrs.insert("objects".to_owned(), Value::str(objects));
        let seen = Observation::Present(attrs);
        let judged = judged(&record(status), &seen, &|_| Ok(readiness.clone()));
        judged.map(|(outcome, text)| {
            assert!(text.contains("velero.main"), "{text}");
            outcome
        })
    }

    #[test]
    fn a_resource_is_judged_by_its_own_kind() {
        let ready = Readiness::Ready;
        assert_eq!(judge(Status::Ready, APPLIED, &ready), None);
        let waiting = Readiness::Waiting("1 of 2 available".to_owned());
        assert_eq!(
            judge(Status::Ready, APPLIED, &waiting),
            Some(Outcome::Warning)
        );
        let failed = Readiness::Failed("bad schedule".to_owned());
        assert_eq!(
            judge(Status::Ready, APPLIED, &failed),
            Some(Outcome::Problem)
        );
        assert_eq!(
            judge(Status::Ready, "1 missing", &ready),
            Some(Outcome::Problem)
        );
        assert_eq!(
            judge(Status::Unfinished, APPLIED, &ready),
            Some(Outcome::Warning)
        );
        assert_eq!(
            judge(Status::Tainted, APPLIED, &ready),
            Some(Outcome::Problem)
        );
        let ok = |_: &Object| Ok(Readiness::Ready);
        let gone = judged(&record(Status::Ready), &Observation::Absent, &ok);
        assert_eq!(gone.unwrap().0, Outcome::Problem);
        assert_eq!(
            judged(&record(Status::Ready), &Observation::NotRead, &ok),
            None
        );
    }

    #[test]
    fn the_root_application_is_judged_by_sync_and_health() {
        let judge = |sync: &str, health: &str| {
            let application = json!({"status": {"sync": {"status": sync}, "health": {"status": health},
                       "conditions": [{"message": "authentication required"}]}});
            judged_application(Some(&application))
        };
        assert_eq!(judge("Synced", "Healthy").outcome, Outcome::Ok);
        assert_eq!(judge("OutOfSync", "Healthy").outcome, Outcome::Warning);
        assert_eq!(judge("Synced", "Progressing").outcome, Outcome::Warning);
        let unknown = judge("Unknown", "Healthy");
        assert_eq!(unknown.outcome, Outcome::Problem);
        assert!(unknown.message.ends_with("authentication required"));
        assert_eq!(judged_application(None).outcome, Outcome::Problem);
    }
}
