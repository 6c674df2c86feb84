//! Files of every format there was, each written once and never again: what an old kplan wrote
//! must stay readable, and is carried over by who goes on with it.

use super::{Place, append_all, warnings};
use crate::testing::{address, operation, run, secret, started, succeeded};
use crate::wire::{FORMAT, OLDEST};
use crate::{Identity, LocalReader, LocalWriter, WriteOptions, code, export};
use kplan_model::{Journal as _, Snapshots as _, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

const LINEAGE: &str = "00112233445566778899aabbccddeeff";
/// What a folder must have to be continued.
const FILES: [&str; 4] = ["snapshot", "snapshot.1", "journal", "journal.1"];

fn folder(format: u32) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join(format!("v{format}"))
}

/// One key for all formats, for these tests alone.
pub(super) fn identity() -> Identity {
    Identity::parse(&fs::read_to_string(folder(OLDEST).join("identity.txt")).unwrap()).unwrap()
}

/// A copy of a fixture that may be written to.
pub(super) fn copied(format: u32) -> Place {
    let place = Place::new();
    fs::create_dir_all(&place.path).unwrap();
    for name in FILES {
        fs::copy(folder(format).join("state").join(name), place.file(name)).unwrap();
    }
    place
}

/// Wrote the fixture of the newest format. One that is there is never changed.
#[test]
fn the_fixture_is_written_once() {
    if folder(FORMAT).join("state").exists() {
        return;
    }
    let options = WriteOptions {
        lineage: Some(LINEAGE.to_owned()),
        ..Place::options()
    };
    let dir = folder(FORMAT).join("state");
    for names in [["a", "b"], ["c", "d"]] {
        let mut writer = LocalWriter::open(&dir, "demo", &identity(), &options).unwrap();
        append_all(&mut writer, &run(&names)).unwrap();
        if names[0] == "c" {
            writer.append(&[operation("a", true, false)]).unwrap();
        }
        writer
            .close("kplan apply", Timestamp(1_700_000_100_000))
            .unwrap();
    }
    let mut writer = LocalWriter::open(&dir, "demo", &identity(), &options).unwrap();
    writer
        .append(&[started("e"), succeeded("e", "id-e")])
        .unwrap();
    writer.append(&[succeeded("a", "id-a2")]).unwrap();
    writer.append(&[started("f")]).unwrap();
    for (begins, undone) in [(true, false), (false, false), (true, true), (false, true)] {
        writer.append(&[operation("b", begins, undone)]).unwrap();
    }
    writer.append(&[operation("c", true, false)]).unwrap();
    let expected = export(writer.snapshot(), Some(writer.keyring()));
    drop(writer);
    fs::remove_dir_all(dir.join("store")).unwrap();
    fs::remove_file(dir.join("lock")).unwrap();
    let text = serde_json::to_string_pretty(&expected).unwrap();
    fs::write(folder(FORMAT).join("expected.json"), text + "\n").unwrap();
}

#[test]
fn every_format_is_read_as_it_was_written() {
    for format in OLDEST..=FORMAT {
        let reader = LocalReader::open(&folder(format).join("state"), "demo", Some(&identity()));
        let loaded = reader.read().unwrap();
        // The first was from before there was a mark.
        let unmarked: &[&str] = if format == 1 { &[code::UNMARKED] } else { &[] };
        assert_eq!(warnings(&loaded.notices), unmarked);
        let snapshot = loaded.snapshot.unwrap();
        let seen = export(&snapshot, loaded.keyring.as_ref());
        let expected = fs::read_to_string(folder(format).join("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(seen, expected, "format {format}");
        assert_eq!(&snapshot.resources[&address("a")].args["key"], &secret("a"));
        assert_eq!(reader.history().unwrap().len(), 2);
        let begun: Vec<&str> = snapshot
            .resources
            .values()
            .chain(&snapshot.deposed)
            .filter(|record| record.operations.contains("drain"))
            .map(|record| record.id.as_str())
            .collect();
        let drained: &[&str] = if format == 1 { &[] } else { &["id-c", "id-a"] };
        assert_eq!(begun, drained);
        for entry in reader.history().unwrap() {
            assert_eq!(reader.at(entry.serial).unwrap().serial, entry.serial);
        }
    }
}

/// What brings a damaged state of an older format back says, too, that older kplans are refused
/// from then on; one that is whole is left as it is.
#[test]
fn a_repair_says_that_it_carries_over() {
    for format in OLDEST..FORMAT {
        let said = |place: &Place| -> Vec<&str> {
            let said = crate::repair(&place.path, "demo", Some(&identity()), &Place::options());
            said.unwrap().iter().map(|notice| notice.code).collect()
        };
        let place = copied(format);
        let before = fs::read(place.file("journal")).unwrap();
        assert!(!said(&place).contains(&code::MIGRATED));
        assert_eq!(fs::read(place.file("journal")).unwrap(), before);
        fs::write(place.file("snapshot"), b"not a snapshot").unwrap();
        assert!(said(&place).contains(&code::MIGRATED));
        assert!(is_newest(&place.file("snapshot")));
        let place = copied(format);
        fs::write(place.file("snapshot"), b"not a snapshot").unwrap();
        let mut writer =
            LocalWriter::open(&place.path, "demo", &identity(), &Place::options()).unwrap();
        let said: Vec<&str> = writer.take_notices().iter().map(|n| n.code).collect();
        assert!(said.contains(&code::RECOVERED) && said.contains(&code::MIGRATED));
    }
}

/// Whether a file says that it is of the newest format.
fn is_newest(file: &Path) -> bool {
    let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    text.contains(&format!("\"format\":{FORMAT},"))
}

#[test]
fn every_format_is_continued_in_the_newest() {
    for format in OLDEST..=FORMAT {
        let place = copied(format);
        let before = fs::read(place.file("journal")).unwrap();
        let mut writer =
            LocalWriter::open(&place.path, "demo", &identity(), &Place::options()).unwrap();
        let carried_over = writer
            .take_notices()
            .iter()
            .any(|n| n.code == code::MIGRATED);
        assert_eq!(carried_over, format < FORMAT);
        writer.append(&[succeeded("f", "id-f")]).unwrap();
        writer.append(&[operation("a", true, false)]).unwrap();
        let live = writer.snapshot().clone();
        // What a kill leaves here is of the newest format already.
        drop(writer);
        for name in ["snapshot", "journal"] {
            assert!(is_newest(&place.file(name)), "{name} of format {format}");
        }
        let reader = LocalReader::open(&place.path, "demo", Some(&identity()));
        assert_eq!(reader.load().unwrap(), live);
        if carried_over {
            let kept = fs::read_dir(place.file("damaged")).unwrap();
            let kept = kept.map(|entry| fs::read(entry.unwrap().path()).unwrap());
            assert!(kept.into_iter().any(|bytes| bytes == before));
        }
        let mut writer =
            LocalWriter::open(&place.path, "demo", &identity(), &Place::options()).unwrap();
        assert!(
            writer
                .take_notices()
                .iter()
                .all(|n| n.code != code::MIGRATED)
        );
        writer.close("kplan apply", Timestamp(0)).unwrap();
        fs::write(place.file("snapshot"), b"").unwrap();
        assert_eq!(reader.load().unwrap(), live);
    }
}
