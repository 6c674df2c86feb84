//! Schedules whose newest backup is older than they allow: backups stop silently, and are missed on
//! the day they are needed.

use super::BACKUPS;
use crate::compose::{Restoring, platform};
use crate::error::Failure;
use crate::interrupt::blocking;
use crate::kit;
use kplan_model::{Listing, ObjectStore as _, ProviderError, Snapshot, Timestamp};
use kplan_schema::spec::{Backup as Wanted, Schedule};
use std::collections::BTreeMap;

/// How much later than its schedule a backup may be there: what a large one takes.
const GRACE: i64 = 2 * 60 * 60 * 1000;

/// How many of a schedule's newest backups are looked into for a whole one.
const LOOKED_AT: usize = 3;

/// The words of a schedule as the five fields they stand for.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Whether backups should be there at all, and since when: Velero is on record, and nothing keeps
/// it from making them.
pub fn expected_since(snapshot: &Snapshot) -> Option<Timestamp> {
    let velero = [platform::velero(), platform::velero_secret()]
        .iter()
        .find_map(|address| snapshot.resources.get(address))?;
    let restoring = Restoring::of(snapshot).wish().is_some();
    (!restoring).then_some(velero.created_at)
}

/// What a look into the bucket gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// A sentence for each schedule that is behind.
    pub overdue: Vec<String>,
    /// By schedule: when its newest backup was completed, whole or not.
    pub newest: BTreeMap<String, Timestamp>,
}

/// Looks into the bucket on record, by one list of it and a file for each schedule. Nothing where no
/// backups are expected yet. `place` is the cluster's name, and whether the cloud is the embedded one.
///
/// # Errors
/// Where the bucket cannot be read.
pub async fn look(
    wanted: &Wanted,
    snapshot: &Snapshot,
    (cluster, embedded): (&str, bool),
) -> Result<Option<Looked>, Failure> {
    let Some(since) = expected_since(snapshot) else {
        return Ok(None);
    };
    // The embedded cloud's clock is not ours: there only what its store dated itself is compared.
    let since = (!embedded).then_some(since);
    let Some(place) = super::on_record(snapshot, cluster)? else {
        return Ok(None);
    };
    let objects = kit::objects_at(&place, None)?;
    let wanted = wanted.clone();
    let looking = move || {
        let listing = objects.list(BACKUPS, None)?;
        let is_whole = |name: &str| super::is_whole(&objects, name);
        let newest = by_schedule(&listing)
            .into_iter()
            .filter_map(|(name, made)| {
                let (at, _) = made.last()?;
                Some((name.to_owned(), *at))
            });
        Ok::<_, ProviderError>(Looked {
            newest: newest.collect(),
            overdue: overdue(&wanted, &listing, since, is_whole)?,
        })
    };
    Ok(Some(blocking(looking).await??))
}

/// What a plan says about each schedule that is behind. `listing` is everything below `backups/`,
/// with the store's own times; `since` is when Velero was installed, where clocks can be compared;
/// `is_whole` reads whether the backup of a name is, because Velero keeps failed ones, too.
pub fn overdue<E>(
    wanted: &Wanted,
    listing: &Listing,
    since: Option<Timestamp>,
    is_whole: impl Fn(&str) -> Result<bool, E>,
) -> Result<Vec<String>, E> {
    let made = by_schedule(listing);
    let mut said = Vec::new();
    for schedule in wanted.schedules.iter().filter(|one| !one.paused.value) {
        let backups = made
            .get(schedule.name.as_str())
            .map_or(&[][..], Vec::as_slice);
        let newest = &backups[backups.len().saturating_sub(LOOKED_AT)..];
        let mut last = None;
        for (at, name) in newest.iter().rev() {
            if is_whole(name)? {
                last = Some(*at);
                break;
            }
        }
        // Of those that were looked at none is whole: the last whole one is older than all.
        let oldest = newest.first().map(|(at, _)| *at);
        let Some(from) = last.or(oldest).or(since) else {
            continue;
        };
        if let Some(due) = next(schedule, from)
            && (due.0 + GRACE < listing.now.0 || (last.is_none() && backups.len() >= LOOKED_AT))
        {
            said.push(sentence(schedule, last, due, backups.len()));
        }
    }
    Ok(said)
}

/// By schedule: its backups, the oldest first, with when each was completed. Velero names them
/// `SCHEDULE-YYYYMMDDhhmmss`.
fn by_schedule(listing: &Listing) -> BTreeMap<&str, Vec<(Timestamp, &str)>> {
    let mut made: BTreeMap<&str, Vec<(Timestamp, &str)>> = BTreeMap::new();
    for object in &listing.objects {
        let mut parts = object.key.split('/').skip(1);
        let (Some(name), Some("velero-backup.json")) = (parts.next(), parts.next()) else {
            continue;
        };
        if let Some((schedule, at)) = name.rsplit_once('-')
            && at.len() == 14
            && at.bytes().all(|byte| byte.is_ascii_digit())
        {
            made.entry(schedule)
                .or_default()
                .push((object.modified, name));
        }
    }
    for backups in made.values_mut() {
        backups.sort();
    }
    made
}

/// The schedule's next time after a moment, in UTC as Velero counts.
fn next(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let cron = schedule.cron.as_str();
    let fields = WORDS.iter().find(|(word, _)| *word == cron);
    let fields = fields.map_or(cron, |(_, fields)| fields);
    let crontab = cronexpr::parse_crontab(&format!("{fields} UTC")).ok()?;
    let after = jiff::Timestamp::from_millisecond(after.0).ok()?;
    let next = crontab.find_next(after).ok()?;
    Some(Timestamp(next.timestamp().as_millisecond()))
}

fn sentence(schedule: &Schedule, last: Option<Timestamp>, due: Timestamp, there: usize) -> String {
    let shown = |at: Timestamp| {
        jiff::Timestamp::from_millisecond(at.0).map_or_else(
            |_| String::new(),
            |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        )
    };
    let newest = match last {
        Some(last) => format!("its newest whole backup is of {}", shown(last)),
        None if there > 0 => "none of its newest ones is whole".to_owned(),
        None => "there is none yet".to_owned(),
    };
    format!(
        "backups by the schedule {} are overdue: {newest}, and one was due at {}. `kubectl -n velero \
         get backups,backupstoragelocations` says why",
        schedule.name,
        shown(due)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_model::Listed;
    use kplan_schema::Source;

    const HOUR: i64 = 60 * 60 * 1000;
    /// 2026-11-29 02:10 UTC.
    const NIGHT: i64 = 1_795_918_200_000;

    fn wanted(schedules: &str) -> Wanted {
        let text = format!(
            "[cluster]\nname='demo'\nregion='fra1'\n[servers]\nsize='s-2vcpu-4gb'\n[network]\n\
             api_allow=['203.0.113.0/24']\n[backup]\nbucket='acme-demo'\nschedules=[{schedules}]\n"
        );
        let parsed = kplan_schema::parse(&Source::new("cluster.toml", text));
        parsed.spec.expect("a spec").backup.expect("backups")
    }

    fn listing(now: i64, backups: &[(&str, i64)]) -> Listing {
        let objects = backups.iter().map(|(name, at)| Listed {
            key: format!("backups/{name}/velero-backup.json"),
            modified: Timestamp(*at),
        });
        Listing {
            objects: objects.collect(),
            now: Timestamp(now),
        }
    }

    /// As if every backup were whole.
    fn overdue(wanted: &Wanted, listing: &Listing, since: Option<Timestamp>) -> Vec<String> {
        super::overdue(wanted, listing, since, |_| Ok::<_, ()>(true)).unwrap()
    }

    #[test]
    fn backups_that_failed_are_none() {
        let nightly = wanted("{name='nightly',cron='0 2 * * *'}");
        let made = [
            ("nightly-20261127020000", NIGHT - 48 * HOUR),
            ("nightly-20261128020000", NIGHT - 24 * HOUR),
            ("nightly-20261129020000", NIGHT),
        ];
        let listing = listing(NIGHT + HOUR, &made);
        let judged = |whole: &[&str]| {
            let is_whole = |name: &str| Ok::<_, ()>(whole.contains(&name));
            super::overdue(&nightly, &listing, None, is_whole)
                .unwrap()
                .join("")
        };
        assert_eq!(judged(&["nightly-20261129020000"]), "");
        assert!(judged(&["nightly-20261127020000"]).contains("2026-11-27"));
        assert!(judged(&[]).contains("none of its newest"));
    }

    #[test]
    fn a_backup_is_missed_two_hours_after_its_time() {
        let nightly = wanted("{name='nightly',cron='0 2 * * *'}");
        let last = [("nightly-20261129020000", NIGHT)];
        let at = |hours: i64| overdue(&nightly, &listing(NIGHT + hours * HOUR, &last), None);
        assert_eq!(at(23), Vec::<String>::new());
        assert_eq!(at(25), Vec::<String>::new());
        let said = at(26).join("");
        assert!(
            said.contains("nightly") && said.contains("2026-11-30 02:00 UTC"),
            "{said}"
        );
    }

    #[test]
    fn each_schedule_is_judged_by_its_own_backups_and_paused_ones_are_not() {
        let both = wanted(
            "{name='nightly',cron='0 2 * * *'},{name='nightly-db',cron='@hourly'},\
             {name='old',cron='@hourly',paused=true}",
        );
        let last = [
            ("nightly-20261129020000", NIGHT),
            ("nightly-db-20261128020000", NIGHT - 24 * HOUR),
            ("by-hand", NIGHT),
        ];
        let said = overdue(&both, &listing(NIGHT + HOUR, &last), None);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("nightly-db"), "{said:?}");
    }

    #[test]
    fn none_at_all_is_told_once_one_should_be_there() {
        let nightly = wanted("{name='nightly',cron='0 2 * * *'}");
        let empty = |now: i64| listing(now, &[]);
        let since = Some(Timestamp(NIGHT));
        assert!(overdue(&nightly, &empty(NIGHT + 20 * HOUR), since).is_empty());
        let said = overdue(&nightly, &empty(NIGHT + 30 * HOUR), since).join("");
        assert!(said.contains("there is none yet"), "{said}");
        assert!(overdue(&nightly, &empty(NIGHT + 99 * HOUR), None).is_empty());
    }
}
