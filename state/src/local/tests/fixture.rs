//! Files of format 1, written once and never again: what an old kplan wrote must stay readable.

use super::{Place, append_all, warnings};
use crate::testing::{run, started, succeeded};
use crate::{Identity, LocalReader, LocalWriter, WriteOptions, code, export};
use kplan_model::{Journal as _, Snapshots as _, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

const LINEAGE: &str = "00112233445566778899aabbccddeeff";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn identity() -> Identity {
    Identity::parse(&fs::read_to_string(folder().join("identity.txt")).unwrap()).unwrap()
}

/// Wrote the fixture. A fixture that is there is never changed.
#[test]
fn the_fixture_is_written_once() {
    if folder().join("state").exists() {
        return;
    }
    let options = WriteOptions {
        lineage: Some(LINEAGE.to_owned()),
        ..Place::options()
    };
    let dir = folder().join("state");
    for names in [["a", "b"], ["c", "d"]] {
        let mut writer = LocalWriter::open(&dir, "demo", &identity(), &options).unwrap();
        append_all(&mut writer, &run(&names)).unwrap();
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
    let expected = export(writer.snapshot(), Some(writer.keyring()));
    drop(writer);
    fs::remove_dir_all(dir.join("store")).unwrap();
    fs::remove_file(dir.join("lock")).unwrap();
    let text = serde_json::to_string_pretty(&expected).unwrap();
    fs::write(folder().join("expected.json"), text + "\n").unwrap();
}

#[test]
fn format_1_is_read_as_it_was_written() {
    let reader = LocalReader::open(&folder().join("state"), "demo", Some(&identity()));
    let loaded = reader.read().unwrap();
    // It is from before there was a mark.
    assert_eq!(warnings(&loaded.notices), [code::UNMARKED]);
    let snapshot = loaded.snapshot.unwrap();
    let seen = export(&snapshot, loaded.keyring.as_ref());
    let expected = fs::read_to_string(folder().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    assert_eq!(seen, expected);
    let secret = &snapshot.resources[&crate::testing::address("a")].args["key"];
    assert_eq!(secret, &crate::testing::secret("a"));
    assert_eq!(reader.history().unwrap().len(), 2);
    for entry in reader.history().unwrap() {
        assert_eq!(reader.at(entry.serial).unwrap().serial, entry.serial);
    }
}

#[test]
fn format_1_is_continued() {
    let place = Place::new();
    for name in ["snapshot", "snapshot.1", "journal", "journal.1"] {
        fs::create_dir_all(&place.path).unwrap();
        fs::copy(folder().join("state").join(name), place.file(name)).unwrap();
    }
    let mut writer =
        LocalWriter::open(&place.path, "demo", &identity(), &Place::options()).unwrap();
    writer.append(&[succeeded("f", "id-f")]).unwrap();
    let live = writer.snapshot().clone();
    writer.close("kplan apply", Timestamp(0)).unwrap();
    let reader = LocalReader::open(&place.path, "demo", Some(&identity()));
    assert_eq!(reader.load().unwrap(), live);
    fs::write(place.file("snapshot"), b"").unwrap();
    assert_eq!(reader.load().unwrap(), live);
}
