//! The DigitalOcean account: whether it is in order, and has room for what the file asks for.

use super::examination::unread;
use super::verdict::Findings;
use super::{Examination, Verdict};
use kplan_providers::digitalocean::{Account, LIMITED, list_of};
use kplan_providers::http::Quota;
use serde_json::json;

/// Below this share of the hour's requests an apply is slowed down.
const SCARCE: i64 = 10;

/// It is not locked.
pub(super) async fn status(at: &Examination) -> Verdict {
    match at.account().await {
        Ok(account) => judged_status(account),
        Err(error) => unread("the account", error),
    }
}

fn judged_status(account: &Account) -> Verdict {
    let said = account.status_message.trim();
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    match account.status.as_str() {
        "active" => Verdict::ok("the account is active"),
        "locked" => Verdict::problem(format!("the account is locked{said}")).help(
            "nothing can be made, and DigitalOcean may power off what there is: see \
             https://cloud.digitalocean.com/account",
        ),
        "warning" => Verdict::warning(format!("the account has a warning{said}"))
            .help("see https://cloud.digitalocean.com/account before it is locked"),
        other => Verdict::not_looked(format!("the account's status is `{other}`{said}")),
    }
}

/// One limit, and how much of it is needed.
#[derive(Clone, Copy, Debug)]
struct Room {
    what: &'static str,
    limit: Option<u64>,
    exist: Option<u64>,
    more: u64,
}

/// What the file asks for beyond the record fits beside what the account has.
pub(super) async fn limits(at: &Examination) -> Verdict {
    let account = match at.account().await {
        Ok(account) => account,
        Err(error) => return unread("the account", error),
    };
    let counts = at.counts().await;
    let declarations = at.declarations();
    let rooms = LIMITED.map(|(kind, what)| {
        let is_new = |address: &&kplan_model::Address| {
            let recorded = at.snapshot().ok();
            address.kind().as_str() == kind
                && recorded.is_none_or(|snapshot| !snapshot.resources.contains_key(*address))
        };
        let asked = declarations.resources.iter().map(|one| &one.address);
        let more = asked.filter(is_new).count();
        Room {
            what,
            limit: account.limit_of(kind),
            exist: list_of(kind).and_then(|list| counts.get(list)?.as_ref().ok().copied()?),
            more: u64::try_from(more).unwrap_or(u64::MAX),
        }
    });
    judged_limits(&rooms)
}

fn judged_limits(rooms: &[Room]) -> Verdict {
    let mut findings = Findings::new();
    let mut known = Vec::new();
    for room in rooms {
        let (Some(limit), Some(exist)) = (room.limit, room.exist) else {
            continue;
        };
        let (what, more) = (room.what, room.more);
        known.push(format!("{exist} of {limit} {what}"));
        let needed = exist.saturating_add(more);
        if needed > limit {
            findings.problem(format!(
                "the file asks for {more} more {what}, of which the account has {exist} and may have \
                 {limit}"
            ));
        } else if more == 0 && exist >= limit {
            findings.warning(format!(
                "all {limit} {what} that the account may have exist"
            ));
        }
    }
    let details: Vec<_> = rooms
        .iter()
        .map(|room| {
            json!({ "what": room.what, "limit": room.limit, "exist": room.exist, "more": room.more })
        })
        .collect();
    if known.is_empty() {
        return Verdict::not_looked("the token may not see the account's limits");
    }
    let mut verdict = findings.verdict(
        known.join(", "),
        "an apply would stop half-way, and replacements that are made before the old half goes need \
         room for one more: ask for a higher limit at https://cloud.digitalocean.com/account/team, or \
         destroy what nobody needs",
    );
    verdict.details["limits"] = details.into();
    verdict
}

/// Enough of the hour's requests is left.
pub(super) async fn rate(at: &Examination) -> Verdict {
    // Its answer says what is left.
    let _account = at.account().await;
    match at.session.adapters.digitalocean.http().quota() {
        None => Verdict::not_looked("no answer of DigitalOcean said what is left"),
        Some(quota) => judged_rate(quota),
    }
}

fn judged_rate(quota: Quota) -> Verdict {
    let Quota {
        limit, remaining, ..
    } = quota;
    let details = json!({ "limit": limit, "remaining": remaining });
    if remaining.saturating_mul(SCARCE) >= limit {
        return Verdict::ok(format!(
            "{remaining} of {limit} requests of this hour are left"
        ))
        .details(details);
    }
    Verdict::warning(format!(
        "only {remaining} of {limit} requests of this hour are left"
    ))
    .details(details)
    .help(
        "an apply waits for more. Something else uses the same token: give it, and the cluster's \
         controllers (`[cloud_controller] token`), one of its own",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use kplan_model::Timestamp;

    fn droplets(limit: Option<u64>, exist: Option<u64>, more: u64) -> Outcome {
        let what = "droplets";
        judged_limits(&[Room {
            what,
            limit,
            exist,
            more,
        }])
        .outcome
    }

    #[test]
    fn what_does_not_fit_is_a_problem_and_a_full_account_a_warning() {
        assert_eq!(droplets(Some(10), Some(7), 3), Outcome::Ok);
        assert_eq!(droplets(Some(10), Some(7), 4), Outcome::Problem);
        assert_eq!(droplets(Some(10), Some(10), 0), Outcome::Warning);
        assert_eq!(droplets(None, Some(10), 0), Outcome::NotLookedAt);
        assert_eq!(droplets(Some(10), None, 20), Outcome::NotLookedAt);
    }

    #[test]
    fn a_locked_account_is_a_problem_and_says_why() {
        let account = |status: &str| Account {
            status: status.to_owned(),
            status_message: " pay the bill ".to_owned(),
            ..Account::default()
        };
        assert_eq!(judged_status(&account("active")).outcome, Outcome::Ok);
        let locked = judged_status(&account("locked"));
        assert_eq!(locked.outcome, Outcome::Problem);
        assert!(locked.message.ends_with("locked: pay the bill"));
        assert_eq!(judged_status(&account("warning")).outcome, Outcome::Warning);
        assert_eq!(judged_status(&account("")).outcome, Outcome::NotLookedAt);
    }

    #[test]
    fn less_than_a_tenth_of_the_hour_is_a_warning() {
        let quota = |remaining| Quota {
            limit: 5000,
            remaining,
            reset: Timestamp(0),
        };
        assert_eq!(judged_rate(quota(500)).outcome, Outcome::Ok);
        assert_eq!(judged_rate(quota(499)).outcome, Outcome::Warning);
    }
}
