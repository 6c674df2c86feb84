//! The contract, for any kind.

use crate::cases::Case;
use crate::compare::{differences, equal};
use crate::world::{World, known, permit};
use kplan_model::{Address, Change, ErrorKind, FieldSet, Known, Mutate, Observe, ProviderError};
use std::collections::BTreeSet;
use std::time::Duration;

/// Everything a kind promises.
pub(crate) async fn keeps_the_contract(world: &World, case: &Case) {
    let made = creates_and_reads_back(world, case).await;
    let changed = changes_every_field(world, case, made).await;
    is_found_after_a_lost_answer(world, case).await;
    goes_and_stays_gone(world, &changed).await;
}

fn halves<'a>(world: &'a World, address: &Address) -> (&'a dyn Observe, &'a dyn Mutate) {
    let entry = world.entry(address);
    (entry.observe.as_ref(), entry.mutate.as_ref())
}

async fn creates_and_reads_back(world: &World, case: &Case) -> Known {
    let (observe, mutate) = halves(world, &case.address);
    let wanted = || world.wanted(&case.address, &case.args);
    let before = observe.find(wanted()).await.unwrap();
    assert!(before.is_empty(), "found before it was made: {before:?}");
    let found = mutate
        .create(wanted(), &permit(&case.address))
        .await
        .unwrap();
    let first = known(&case.address, case.args.clone(), found);
    let made = world.ready(&first).await;
    let info = observe.info();
    assert_eq!(
        differences(info, &case.args, &made.attrs),
        Vec::<String>::new()
    );
    let all = observe.read_all(std::slice::from_ref(&made)).await.unwrap();
    assert_eq!(
        all.get(&made.id),
        Some(&made.attrs),
        "the list and the single read differ"
    );
    let found = observe.find(wanted()).await.unwrap();
    assert!(
        found.iter().any(|found| found.id == made.id),
        "not found again: {found:?}"
    );
    made
}

async fn changes_every_field(world: &World, case: &Case, mut made: Known) -> Known {
    let (observe, mutate) = halves(world, &case.address);
    let info = observe.info();
    for (field, value) in &case.changes {
        let mut args = made.args.clone();
        if value.is_null() {
            args.remove(field);
        } else {
            args.insert((field).to_owned(), value.clone());
        }
        let changed: FieldSet = [*field].into_iter().collect();
        let permit = permit(&case.address);
        let attrs = patiently(|| mutate.update(&made, &args, &changed, &permit)).await;
        let attrs = attrs.unwrap_or_else(|error| panic!("{field}: {error}"));
        let compare = info.field(field).unwrap().compare;
        if let (Some(asked), Some(seen)) = (args.get(field), attrs.get(field)) {
            assert!(
                equal(compare, asked, seen),
                "{field}: asked {asked:?}, got {seen:?}"
            );
        }
        made.args = args;
        made.attrs = attrs;
        made = world.ready(&made).await;
        assert_eq!(
            differences(info, &made.args, &made.attrs),
            Vec::<String>::new(),
            "{field}"
        );
        // Cut off after the call and run again: nothing more happens.
        let again = mutate
            .update(&made, &made.args.clone(), &changed, &permit)
            .await;
        assert!(again.is_ok(), "{field} again: {again:?}");
    }
    let tried: BTreeSet<&str> = case.changes.iter().map(|(field, _)| *field).collect();
    for field in info.fields {
        let changes = matches!(
            field.change,
            Change::InPlace { .. } | Change::Monotonic { .. } | Change::OneWay { .. }
        );
        let excused = case.untried.contains(&field.name);
        assert!(
            !changes || tried.contains(field.name) || excused,
            "{} is untried",
            field.name
        );
    }
    made
}

async fn is_found_after_a_lost_answer(world: &World, case: &Case) {
    let (observe, mutate) = halves(world, &case.address);
    let wanted = || world.wanted(&case.other, &case.second);
    let seen = observe.find(wanted()).await.unwrap();
    world.lose_answer(case.create_path);
    let failed = mutate
        .create(wanted(), &permit(&case.other))
        .await
        .unwrap_err();
    assert_eq!(
        failed.error.kind,
        ErrorKind::OutcomeUnknown,
        "{}",
        failed.error
    );
    let look = || patiently(|| observe.find(wanted()));
    let mut found = look().await.unwrap();
    if found.is_empty() {
        // The engine looks twice, ten seconds apart: some things get their marks later.
        tokio::time::sleep(Duration::from_secs(10)).await;
        found = look().await.unwrap();
    }
    found.retain(|found| seen.iter().all(|seen| seen.id != found.id));
    let [found] = <[_; 1]>::try_from(found).unwrap_or_else(|found| panic!("found {found:?}"));
    let lost = known(&case.other, case.second.clone(), found);
    goes_and_stays_gone(world, &lost).await;
}

async fn goes_and_stays_gone(world: &World, made: &Known) {
    let (observe, mutate) = halves(world, &made.address);
    let permit = permit(&made.address);
    for _ in 0..2 {
        patiently(|| mutate.delete(made, &permit)).await.unwrap();
    }
    for _ in 0..100 {
        if observe.read(made).await.unwrap().is_none() {
            let all = observe.read_all(std::slice::from_ref(made)).await.unwrap();
            assert!(all.is_empty(), "still in the list: {all:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} does not go", made.address);
}

/// Calls again while the remote side is busy, as the engine does.
async fn patiently<'a, T>(
    call: impl Fn() -> kplan_model::BoxFuture<'a, Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    for _ in 0..100 {
        match call().await {
            Err(error) if error.kind == ErrorKind::Busy => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            other => return other,
        }
    }
    call().await
}
