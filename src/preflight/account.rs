//! `preflight::account_locked`, `preflight::limit`: whether the account may have what the plan makes.

use super::sight::Sight;
use super::{Finding, Severity};
use kplan_model::{Action, Plan, Step};
use kplan_providers::digitalocean::LIMITED;

const RAISE: &str = "ask for a higher limit at https://cloud.digitalocean.com/account/team, or destroy \
                     what nobody needs";

/// Nothing can be made in an account that is locked.
pub(super) fn status(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(Ok(account)) = &sight.account else {
        return Vec::new();
    };
    let made = LIMITED.iter().find_map(|(kind, _)| sight.first_made(kind));
    let (Some(step), "locked") = (made, account.status.as_str()) else {
        return Vec::new();
    };
    let said = account.status_message.trim();
    let why = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    let message = format!("the account is locked, and nothing can be made in it{why}");
    let help = "see https://cloud.digitalocean.com/account";
    vec![sight.error("preflight::account_locked", (step, "name"), message, help)]
}

/// How many of a kind the plan makes and destroys.
#[derive(Debug, PartialEq, Eq)]
struct Movement {
    made: u64,
    destroyed: u64,
    /// Made where another one had to go before.
    in_the_place: u64,
}

fn movement(plan: &Plan, kind: &str) -> Movement {
    let of = |step: &&Step| step.address.kind().as_str() == kind;
    let count = |wanted: &dyn Fn(&Step) -> bool| {
        let all = plan.steps.iter().filter(of);
        u64::try_from(all.filter(|step| wanted(step)).count()).unwrap_or(u64::MAX)
    };
    Movement {
        made: count(&|step| step.action == Action::Create),
        destroyed: count(&|step| step.action == Action::Delete),
        in_the_place: count(&|step| {
            let waits = |pair| step.requires.contains(&pair);
            step.action == Action::Create && step.pair.is_some_and(waits)
        }),
    }
}

/// What is there, and what is made, fit beside each other: in the end, and all the while.
pub(super) fn limits(sight: &Sight<'_>) -> Vec<Finding> {
    let Some(Ok(account)) = &sight.account else {
        return Vec::new();
    };
    LIMITED
        .iter()
        .filter_map(|(kind, what)| {
            let step = sight.first_made(kind)?;
            let limit = account.limit_of(kind)?;
            let exist = exist(sight, kind)?;
            let moved = movement(sight.plan, kind);
            let most = exist.saturating_add(moved.made);
            let after = most.saturating_sub(moved.destroyed);
            let meanwhile = most.saturating_sub(moved.in_the_place);
            let known = format!(
                "the account has {exist} {what} and may have {limit}; the plan makes {} and destroys {}",
                moved.made, moved.destroyed
            );
            if after > limit {
                return Some(sight.error("preflight::limit", (step, "name"), known, RAISE));
            }
            (meanwhile > limit).then(|| Finding {
                severity: Severity::Warning,
                message: format!("{known}. What is made may have to wait for what goes, and fail"),
                ..sight.error(
                    "preflight::limit_meanwhile",
                    (step, "name"),
                    String::new(),
                    RAISE,
                )
            })
        })
        .collect()
}

/// How many of a kind the account has, whoever made them.
fn exist(sight: &Sight<'_>, kind: &str) -> Option<u64> {
    if let Some(read) = sight.taken.get(kind) {
        return u64::try_from(read.as_ref().ok()?.len()).ok();
    }
    sight.counts.get(kind)?.as_ref().ok().copied()?
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, codes};
    use kplan_providers::digitalocean::{Account, Taken};

    fn account(limit: u64) -> Account {
        Account {
            droplet_limit: Some(limit),
            volume_limit: Some(limit),
            status: "active".to_owned(),
            ..Account::default()
        }
    }

    fn droplets(rig: &Rig, exist: u64, limit: u64) -> Vec<&'static str> {
        let mut sight = rig.sight();
        sight.counts.insert("droplet".to_owned(), Ok(Some(exist)));
        sight.account = Some(Ok(account(limit)));
        codes(&super::limits(&sight))
    }

    #[test]
    fn what_does_not_fit_in_the_end_is_an_error() {
        let mut rig = Rig::default();
        rig.create("droplet.a[0]", &[]).create("droplet.a[1]", &[]);
        assert_eq!(droplets(&rig, 8, 10), Vec::<&str>::new());
        assert_eq!(droplets(&rig, 9, 10), ["preflight::limit"]);
        let mut rig = Rig::default();
        rig.create("volume.a", &[]);
        let mut sight = rig.sight();
        let there = vec![Taken::default(), Taken::default()];
        sight.taken.insert("volume".to_owned(), Ok(there));
        sight.account = Some(Ok(account(2)));
        assert_eq!(codes(&super::limits(&sight)), ["preflight::limit"]);
    }

    #[test]
    fn room_that_is_missing_only_meanwhile_is_a_warning_and_a_replacement_needs_none() {
        let mut rig = Rig::default();
        rig.create("droplet.a", &[]).delete("droplet.b", "1");
        assert_eq!(droplets(&rig, 10, 10), ["preflight::limit_meanwhile"]);
        let mut rig = Rig::default();
        rig.replace("droplet.a", "1", &[]);
        assert_eq!(droplets(&rig, 10, 10), Vec::<&str>::new());
    }

    #[test]
    fn what_is_not_known_is_not_too_much() {
        let mut rig = Rig::default();
        rig.create("droplet.a", &[]);
        let mut sight = rig.sight();
        sight.account = Some(Ok(Account::default()));
        sight.counts.insert("droplet".to_owned(), Ok(Some(1000)));
        assert_eq!(super::limits(&sight), []);
        sight.account = Some(Ok(account(1)));
        sight.counts.insert("droplet".to_owned(), Ok(None));
        assert_eq!(super::limits(&sight), []);
    }

    #[test]
    fn nothing_is_made_in_a_locked_account() {
        let mut rig = Rig::default();
        rig.create("droplet.a", &[]);
        let mut sight = rig.sight();
        sight.account = Some(Ok(account(10)));
        assert_eq!(super::status(&sight), []);
        sight.account = Some(Ok(Account {
            status: "locked".to_owned(),
            status_message: " pay ".to_owned(),
            ..Account::default()
        }));
        let found = super::status(&sight);
        assert_eq!(codes(&found), ["preflight::account_locked"]);
        assert!(found[0].message.ends_with("in it: pay"));
    }
}
