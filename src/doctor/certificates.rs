//! Certificates: when they end, of those on record and of the one the API shows.

use super::verdict::Findings;
use super::{Examination, Verdict};
use crate::compose::{k3s, platform};
use kplan_model::{Address, Codec as _, ProviderError, Timestamp};
use kplan_providers::k3s::pki::expiry::{Ends, ends_of_der, ends_of_pem};
use kplan_providers::k3s::served_certificate;
use serde_json::json;

const DAY: i64 = 24 * 60 * 60 * 1000;
/// K3s renews its own certificates when it starts within so many days of their end (K3s
/// documentation, "Client and Server Certificates").
const RENEWED: i64 = 120;
/// Later than this there may be no time left to do something about it by day.
const URGENT: i64 = 30;
/// On record, below `certificates` of `pki.cluster`.
const AUTHORITIES: [&str; 5] = [
    "certificates.server_ca",
    "certificates.client_ca",
    "certificates.request_header_ca",
    "certificates.etcd_peer_ca",
    "certificates.etcd_server_ca",
];

fn shown(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d").to_string())
}

/// The first of several to end.
fn judged(what: &str, ends: &[Ends], now: Timestamp, help: &str) -> Verdict {
    let mut findings = Findings::new();
    for one in ends {
        let left = one.at.since(now).div_euclid(DAY);
        let day = shown(one.at);
        if one.at.since(now) <= 0 {
            findings.problem(format!("{} ended on {day}", one.subject));
        } else if left < URGENT {
            findings.problem(format!("{} ends in {left} days, on {day}", one.subject));
        } else if left < RENEWED {
            findings.warning(format!("{} ends in {left} days, on {day}", one.subject));
        }
    }
    let first = ends.iter().map(|one| one.at).min();
    let first = first.map_or_else(String::new, |at| format!(", first on {}", shown(at)));
    let number = match ends.len() {
        1 => format!("{what} ends"),
        several => format!("{several} {what} end"),
    };
    let mut verdict =
        findings.verdict(format!("{number} in more than {RENEWED} days{first}"), help);
    verdict.details["certificates"] = ends
        .iter()
        .map(|one| json!({ "subject": one.subject, "ends": shown(one.at) }))
        .collect();
    verdict
}

/// Certificates of a record, by the paths of its attributes.
fn on_record(
    at: &Examination,
    address: &Address,
    paths: &[&str],
) -> Result<Option<Vec<Ends>>, ProviderError> {
    let Some(record) = at
        .snapshot()
        .ok()
        .and_then(|snapshot| snapshot.resources.get(address))
    else {
        return Ok(None);
    };
    let mut all: Vec<Ends> = Vec::new();
    for path in paths {
        let Some(value) = record.attribute(path) else {
            continue;
        };
        let text = String::decode(&value).unwrap_or_default();
        for one in ends_of_pem(&text)? {
            // Root and intermediate are in every chain.
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    Ok(Some(all))
}

fn told(found: Result<Option<Vec<Ends>>, ProviderError>, none: &str) -> Result<Vec<Ends>, Verdict> {
    match found {
        Ok(Some(ends)) => Ok(ends),
        Ok(None) => Err(Verdict::not_looked(none)),
        Err(error) => Err(Verdict::problem(format!(
            "a certificate on record cannot be read: {}",
            error.message
        ))
        .help("`kplan state verify` says whether the state is whole")),
    }
}

/// The cluster's authorities.
pub(super) async fn authorities(at: &Examination) -> Verdict {
    let found = on_record(at, &k3s::pki(), &AUTHORITIES);
    match told(found, "there is no cluster on record yet") {
        Err(verdict) => verdict,
        Ok(ends) => judged(
            "certificates of authorities",
            &ends,
            at.now,
            "without them no node can join and nobody can call the API. kplan cannot exchange them in \
             a living cluster: make a new one and bring what runs in this one over by `kplan restore` \
             before that day",
        ),
    }
}

/// The key of Sealed Secrets.
pub(super) async fn sealing(at: &Examination) -> Verdict {
    let found = on_record(at, &platform::sealing_key(), &["certificate"]);
    match told(found, "no key for Sealed Secrets is on record") {
        Err(verdict) => verdict,
        Ok(ends) => judged(
            "the certificate of Sealed Secrets",
            &ends,
            at.now,
            "what was sealed can still be opened after that day, but `kubeseal` refuses to seal with \
             it: `kplan apply --replace sealing_key.main` makes another, and everything has to be \
             sealed anew",
        ),
    }
}

/// What the API shows to whoever calls it.
pub(super) async fn served(at: &Examination) -> Verdict {
    let Some(access) = at.access() else {
        return Verdict::not_looked("there is no cluster on record yet");
    };
    let proxy = at.session.cloud.proxy_url.as_deref();
    let seen = served_certificate(&access.server, proxy).await;
    match seen.and_then(|der| ends_of_der(&der)) {
        Err(error) => Verdict::not_looked(error.message),
        Ok(ends) => judged(
            "the API's certificate",
            &[ends],
            at.now,
            "once it has ended, neither kplan nor kubectl can call the cluster. K3s renews it, and \
             those of its nodes, when it starts within 120 days of the end: `kplan rotate \
             certificates` starts it again on every node, one server at a time; an upgrade does it, too",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn a_certificate_is_judged_by_the_days_that_are_left() {
        let now = Timestamp(1_000 * DAY);
        let outcome = |days: i64| {
            let ends = [
                Ends {
                    subject: "CN=root".to_owned(),
                    at: Timestamp(9_000 * DAY),
                },
                Ends {
                    subject: "CN=leaf".to_owned(),
                    at: Timestamp(now.0 + days * DAY),
                },
            ];
            judged("certificates", &ends, now, "renew them")
        };
        for (days, expected) in [
            (365, Outcome::Ok),
            (120, Outcome::Ok),
            (119, Outcome::Warning),
            (30, Outcome::Warning),
            (29, Outcome::Problem),
            (0, Outcome::Problem),
            (-5, Outcome::Problem),
        ] {
            assert_eq!(outcome(days).outcome, expected, "{days}");
        }
        assert!(outcome(-5).message.contains("CN=leaf ended on"));
        assert!(!outcome(-5).message.contains("CN=root"));
        assert!(outcome(365).message.contains("first on 1973-09-27"));
    }
}
