//! Hostile contents behind good checksums: journals, snapshots, history entries and documents of
//! the corpus, as they are and mutated. Never a panic; an error has a name; what is read can be
//! written again.

use super::Place;
use super::json::mutate_json;
use super::mutate::{Random, corpus, mutate, rounds};
use crate::local::frame::frame;
use crate::wire::framed::framed;
use crate::wire::snapshot::SnapshotWire;
use crate::{Document, Identity, LocalReader, code, export, repair};
use kplan_model::StoreError;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

/// The folder of the fixture, and the identity of the state that the corpus was made from.
fn place() -> Place {
    let mut place = Place::new();
    let text = fs::read_to_string(fixture().join("identity.txt")).unwrap();
    place.identity = Identity::parse(&text).unwrap();
    fs::create_dir_all(place.file("history")).unwrap();
    restore(&place);
    place
}

fn restore(place: &Place) {
    for name in ["snapshot", "snapshot.1", "journal", "journal.1"] {
        fs::copy(fixture().join("state").join(name), place.file(name)).unwrap();
    }
}

/// Lines as frames with good checksums.
fn journal(lines: &[u8]) -> Vec<u8> {
    let lines = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines.flat_map(|line| frame(line).unwrap()).collect()
}

/// A body behind a good first line, of the format it says itself.
fn snapshot(body: &[u8]) -> Vec<u8> {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.and_then(|body| body.get("format")?.as_u64()?.try_into().ok());
    framed("snapshot", said.unwrap_or(crate::FORMAT), body)
}

fn named(error: &StoreError, what: &str) {
    let known = [
        code::DAMAGED,
        code::NEWER_FORMAT,
        code::OTHER_LINEAGE,
        code::OTHER_CLUSTER,
        code::WRONG_KEY,
        code::MISSING,
        // Read, and refused when it is to be written again: values nest too deep.
        code::UNSTORABLE,
    ];
    assert!(known.contains(&error.code), "{what}: {error:?}");
}

/// Reads the folder with and without the identity; what is read can be shown and written.
fn read(place: &Place, what: &str) {
    match place.read_once() {
        Ok((state, _)) => drop(export(&state.unwrap(), None)),
        Err(error) => named(&error, what),
    }
}

/// The whole folder, with the patience of a real reader, and a repair.
fn read_and_repair(place: &Place, what: &str) {
    read(place, what);
    if let Err(error) = LocalReader::open(&place.path, "demo", None).verify() {
        named(&error, what);
    }
    match repair(
        &place.path,
        "demo",
        Some(&place.identity),
        &Place::options(),
    ) {
        Ok(_) => drop(place.try_writer().map_err(|error| named(&error, what))),
        Err(error) => named(&error, what),
    }
    fs::remove_dir_all(&place.path).unwrap();
    fs::create_dir_all(place.file("history")).unwrap();
    restore(place);
}

fn documents(bytes: &[u8], identity: &Identity, what: &str) {
    let text = String::from_utf8_lossy(bytes);
    let opened = Document::parse(&text).and_then(|document| {
        document.to_json()?;
        document.open(identity)
    });
    if let Err(error) = opened {
        named(&error, what);
    }
}

#[test]
fn the_corpus_is_read_or_refused() {
    let place = place();
    for (name, bytes) in corpus("journal") {
        place.put("journal", &journal(&bytes));
        read_and_repair(&place, &name);
    }
    for (name, bytes) in corpus("snapshot") {
        place.put("snapshot", &snapshot(&bytes));
        read_and_repair(&place, &name);
    }
    for (name, bytes) in corpus("history") {
        place.put("history/10.json", &bytes);
        read_and_repair(&place, &name);
    }
    for (name, bytes) in corpus("document") {
        documents(&bytes, &place.identity, &name);
    }
}

/// Bytes changed, or a JSON tree in each line.
fn mutated(random: &mut Random, all: &[(String, Vec<u8>)]) -> Vec<u8> {
    let base = &all[random.below(all.len())].1;
    let other = &all[random.below(all.len())].1;
    if random.below(2) == 0 {
        return mutate(
            random,
            base,
            other,
            &["\"$secret\":", "\"batch\":", "\"entries\":"],
        );
    }
    let line = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let theirs = other.split(|byte| *byte == b'\n').find_map(line);
    let theirs = theirs.unwrap_or_default();
    let mut out = Vec::new();
    let changed = random.below(base.split(|byte| *byte == b'\n').count());
    for (number, bytes) in base.split(|byte| *byte == b'\n').enumerate() {
        match line(bytes) {
            Some(value) if number == changed => {
                let value = mutate_json(random, &value, &theirs);
                out.extend(value.to_string().into_bytes());
            }
            _ => out.extend_from_slice(bytes),
        }
        out.push(b'\n');
    }
    out
}

#[test]
fn thousands_of_mutations_are_read_or_refused() {
    let place = place();
    let all = ["journal", "snapshot", "history", "document"].map(corpus);
    for number in 0..rounds(1_500) {
        let mut random = Random::new(number);
        let target = random.below(all.len());
        let bytes = mutated(&mut random, &all[target]);
        let what = format!("mutation {number}");
        match target {
            0 => {
                place.put("journal", &journal(&bytes));
                read(&place, &what);
                restore(&place);
            }
            1 => {
                place.put("snapshot", &snapshot(&bytes));
                read(&place, &what);
                restore(&place);
            }
            2 => {
                place.put("history/10.json", &bytes);
                let reader = place.reader();
                drop(reader.history().map_err(|error| named(&error, &what)));
                drop(reader.at(10).map_err(|error| named(&error, &what)));
            }
            _ => documents(&bytes, &place.identity, &what),
        }
    }
}

#[test]
fn bombs_are_refused_without_a_stack_to_overflow() {
    let place = place();
    let deep = |open: &str, close: &str| open.repeat(500_000) + &close.repeat(500_000);
    for bomb in [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "\"\\u0000".repeat(300_000),
    ] {
        place.put("journal", &journal(bomb.as_bytes()));
        read(&place, "a bomb in the journal");
        restore(&place);
        place.put("snapshot", &snapshot(bomb.as_bytes()));
        read(&place, "a bomb in the snapshot");
        restore(&place);
        documents(bomb.as_bytes(), &place.identity, "a bomb");
        assert!(serde_json::from_str::<SnapshotWire>(&bomb).is_err());
    }
}
