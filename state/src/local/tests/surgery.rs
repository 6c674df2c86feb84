//! Taking access away, the state as a document, and the check of everything.

use super::{Place, append_all};
use crate::local::Document;
use crate::testing::{CANARY, run};
use crate::{Identity, LocalReader, code};
use kplan_model::{Snapshots as _, Timestamp};
use std::fs;

/// A place that two can read, and the second one.
fn shared() -> (Place, Identity) {
    let place = Place::full();
    let other = Identity::generate();
    let mut writer = place.writer();
    writer.add_recipient(&other.recipients()[0]).unwrap();
    writer.close("kplan state", Timestamp(0)).unwrap();
    (place, other)
}

#[test]
fn who_is_removed_reads_nothing_that_is_beside_the_history() {
    let (place, other) = shared();
    let before = place.state();
    let mut writer = place.writer();
    let own = place.identity.recipients();
    writer
        .remove_recipient(&other.recipients()[0], &own)
        .unwrap();
    assert_eq!(writer.recipients(), own);
    append_all(&mut writer, &run(&["later"])).unwrap();
    writer.close("kplan state", Timestamp(1)).unwrap();

    let theirs = LocalReader::open(&place.path, "demo", Some(&other));
    assert_eq!(theirs.load().unwrap_err().code, code::WRONG_KEY);
    for name in ["snapshot", "snapshot.1", "journal", "journal.1"] {
        let text = String::from_utf8_lossy(&place.bytes(name)).into_owned();
        assert!(!text.contains(&other.recipients()[0]), "{name}");
    }
    let after = place.state();
    for (address, record) in &before.resources {
        assert_eq!(after.resources[address].args, record.args);
    }
    // Entries written under the old key are still ours to read.
    for entry in place.reader().history().unwrap() {
        place.reader().at(entry.serial).unwrap();
    }
}

#[test]
fn a_removal_that_is_cut_off_after_its_record_holds() {
    let (place, other) = shared();
    let before = place.state();
    let mut writer = place.writer();
    let own = place.identity.recipients();
    writer
        .remove_recipient(&other.recipients()[0], &own)
        .unwrap();
    append_all(&mut writer, &run(&["later"])).unwrap();
    drop(writer);
    let after = place.state();
    for (address, record) in &before.resources {
        assert_eq!(after.resources[address].args, record.args);
    }
    place.writer().close("kplan apply", Timestamp(2)).unwrap();
}

#[test]
fn nobody_locks_themselves_out() {
    let (place, other) = shared();
    let own = place.identity.recipients();
    let mut writer = place.writer();
    let refused = writer.remove_recipient(&own[0], &own).unwrap_err();
    assert_eq!(refused.code, code::LOCKED_OUT);
    let stranger = Identity::generate().recipients();
    let refused = writer.remove_recipient(&stranger[0], &own).unwrap_err();
    assert_eq!(refused.code, code::IDENTITY);
    assert_eq!(writer.recipients().len(), 2);
    drop(writer);
    let theirs = LocalReader::open(&place.path, "demo", Some(&other));
    theirs.load().unwrap();
}

#[test]
fn a_document_is_the_state_and_opens_for_its_recipients_only() {
    let place = Place::full();
    let text = place.reader().document().unwrap().to_json().unwrap();
    assert!(!text.contains(CANARY));
    // Nobody's key is needed to copy it.
    let sealed = LocalReader::open(&place.path, "demo", None);
    assert_eq!(sealed.document().unwrap().to_json().unwrap(), text);
    let document = Document::parse(&text).unwrap();
    document.fits(&place.state(), false).unwrap();
    assert_eq!(document.open(&place.identity).unwrap(), place.state());
    let refused = Document::parse(&text).unwrap().open(&Identity::generate());
    assert_eq!(refused.unwrap_err().code, code::WRONG_KEY);
}

#[test]
fn what_is_no_document_is_refused() {
    let place = Place::full();
    let text = place.reader().document().unwrap().to_json().unwrap();
    for bad in ["", "{}", "[]", &text[..text.len() / 2]] {
        assert_eq!(
            Document::parse(bad).unwrap_err().code,
            code::DAMAGED,
            "{bad}"
        );
    }
    let newer = text.replace(&format!("\"format\":{}", crate::FORMAT), "\"format\":99");
    assert_eq!(
        Document::parse(&newer).unwrap_err().code,
        code::NEWER_FORMAT
    );
    // A secret that was moved to another place does not open.
    let moved = text.replace("\"vpc.a\"", "\"vpc.zz\"");
    assert_ne!(moved, text);
    let refused = Document::parse(&moved).unwrap().open(&place.identity);
    assert_eq!(refused.unwrap_err().code, code::DAMAGED);
}

#[test]
fn a_check_reads_everything_and_names_what_is_not_whole() {
    let place = Place::full();
    let verified = place.reader().verify().unwrap();
    assert!(
        verified.opened && verified.problems.is_empty(),
        "{verified:?}"
    );
    assert_eq!(verified.history, 2);
    assert_eq!(verified.serial, place.state().serial);
    let entry = place.reader().history().unwrap()[0].serial;
    let file = place.file("history").join(format!("{entry}.json"));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"serial\"", "\"serail\"")).unwrap();
    let verified = place.reader().verify().unwrap();
    assert_eq!(verified.history, 1);
    assert_eq!(verified.problems[0].code, code::DAMAGED);
}
