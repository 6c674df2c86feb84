//! Reads what the checks look at: every list once, all at the same time, and only what the plan needs.

use super::operator;
use super::sight::{Read, Sight, text};
use crate::catalogue::Catalogue;
use crate::cmd::session::Session;
use futures_util::future::join_all;
use futures_util::join;
use kplan_model::{Action, Address, ErrorKind, ProviderError};
use kplan_providers::digitalocean::{
    Account, DigitalOcean, LIMITED, account, catalogue, count, is_unique, list_of, taken,
};
use std::collections::{BTreeMap, BTreeSet};

/// Fills a sight. `again`: the catalogue alone, without what was kept.
pub(super) async fn fill(sight: &mut Sight<'_>, session: &Session, again: bool) {
    let cloud = &session.adapters.digitalocean;
    if again {
        sight.catalogue = Catalogue::read(session, sight.needs(), true).await;
    } else {
        let (unique, others) = kinds(sight);
        let buckets = buckets(sight);
        let (catalogue, account, taken, counts, buckets) = join!(
            Catalogue::read(session, sight.needs(), false),
            the_account(sight, cloud),
            every(unique, async |kind| taken(cloud, kind).await),
            every(others, async |kind| match list_of(kind) {
                Some(list) => count(cloud, list).await,
                None => Ok(None),
            }),
            join_all(buckets.into_iter().map(async |(address, place)| {
                let (region, name) = place;
                let found = session.adapters.spaces.is_taken(region, name).await;
                (address.clone(), found)
            })),
        );
        sight.catalogue = catalogue;
        sight.account = account;
        sight.taken = taken;
        sight.counts = counts;
        sight.buckets = buckets.into_iter().collect();
        operator::find(&mut sight.doors, session.cloud.embedded);
    }
    sight.images = images(sight, cloud).await;
}

async fn every<T>(
    kinds: BTreeSet<&str>,
    read: impl AsyncFn(&str) -> Read<T>,
) -> BTreeMap<String, Read<T>> {
    let reads = kinds
        .into_iter()
        .map(async |kind| (kind.to_owned(), read(kind).await));
    join_all(reads).await.into_iter().collect()
}

/// Kinds that are listed: those whose names are taken once, and those that are only counted. A list
/// that several share is read once.
fn kinds<'a>(sight: &Sight<'a>) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let named = |step: &&kplan_model::Step| {
        step.action == Action::Create || step.changes.iter().any(|change| change.field == "name")
    };
    let given = sight.steps().filter(named);
    let kinds: BTreeSet<&str> = given.map(|step| step.address.kind().as_str()).collect();
    // Users and databases of a managed database are parts of it, and have no list of their own.
    let kinds = kinds
        .into_iter()
        .filter(|kind| !kind.starts_with("database_"));
    let (unique, others): (BTreeSet<&str>, BTreeSet<&str>) =
        kinds.partition(|kind| is_unique(kind));
    let mut read: BTreeSet<&str> = unique.iter().filter_map(|kind| list_of(kind)).collect();
    let others = others.into_iter();
    let others = others.filter(|kind| list_of(kind).is_some_and(|list| read.insert(list)));
    let others = others.collect();
    (unique, others)
}

async fn the_account(sight: &Sight<'_>, cloud: &DigitalOcean) -> Option<Read<Account>> {
    let limited = LIMITED
        .iter()
        .any(|(kind, _)| sight.first_made(kind).is_some());
    if limited {
        Some(account(cloud).await)
    } else {
        None
    }
}

/// Buckets that are to be made under a name of their own, with their regions.
fn buckets<'a>(sight: &Sight<'a>) -> Vec<(&'a Address, (&'a str, &'a str))> {
    let made = sight.of_kind("bucket");
    let made = made.filter(|step| step.action == Action::Create);
    made.filter_map(|step| Some((&step.address, (text(step, "region")?, text(step, "name")?))))
        .collect()
}

/// Whether there are images that the catalogue does not list: applications, and those of the account.
async fn images(sight: &Sight<'_>, cloud: &DigitalOcean) -> BTreeMap<String, Read<bool>> {
    let Some(listed) = sight.catalogue.images.value() else {
        return BTreeMap::new();
    };
    let listed: BTreeSet<&str> = listed
        .iter()
        .filter_map(|image| image.slug.as_deref())
        .collect();
    let made = sight.of_kind("droplet");
    let made = made.filter(|step| step.action == Action::Create);
    let strange: BTreeSet<&str> = made
        .filter_map(|step| text(step, "image"))
        .filter(|image| !listed.contains(image))
        .collect();
    every(strange, async |image| {
        catalogue::has_image(cloud, image).await
    })
    .await
}

/// What could not be read, and is therefore not checked: by reason, each told once. That a token may not
/// read a list of resources is a finding and no note.
pub(super) fn notes(sight: &Sight<'_>) -> Vec<String> {
    let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut unread = |what: &str, error: &ProviderError| {
        let of = reasons.entry(error.message.clone()).or_default();
        of.insert(what.to_owned());
    };
    for (what, scope, error) in sight.catalogue.unreadable() {
        if error.kind == ErrorKind::Denied {
            unread(&format!("{what} (the token may need {scope})"), error);
        } else {
            unread(what, error);
        }
    }
    if let Some(Err(error)) = &sight.account {
        unread("the account's limits", error);
    }
    for (kind, read) in &sight.taken {
        if let Err(error) = read
            && error.kind != ErrorKind::Denied
        {
            unread(&format!("names of kind {kind}"), error);
        }
    }
    for (kind, read) in &sight.counts {
        if let Err(error) = read
            && error.kind != ErrorKind::Denied
        {
            unread(&format!("the number of kind {kind}"), error);
        }
    }
    for (image, read) in &sight.images {
        if let Err(error) = read {
            unread(&format!("the image {image}"), error);
        }
    }
    for (address, read) in &sight.buckets {
        if let Err(error) = read {
            unread(&format!("the name of {address}"), error);
        }
    }
    let told = reasons.into_iter();
    told.map(|(why, what)| {
        let what: Vec<String> = what.into_iter().collect();
        format!("not checked before apply: {}: {why}", what.join(", "))
    })
    .collect()
}
