//! `kplan state …`: changing what is on record by hand.

use crate::support::{Folder, SMALL};
use kplan_state::Identity;

/// The serial of the state.
fn serial(folder: &Folder) -> u64 {
    let run = folder.kplan(&["state", "verify", "--sandbox", "--json"]);
    run.ok().json()["serial"].as_u64().expect("a serial")
}

#[test]
fn what_was_forgotten_comes_back_with_the_history() {
    let folder = Folder::with(SMALL);
    folder.apply().ok();
    let before = serial(&folder);
    let forgotten = folder
        .kplan(&["state", "rm", "--sandbox", "tag.owner"])
        .ok();
    assert!(
        forgotten.out.contains("Forgot tag.owner"),
        "{}",
        forgotten.out
    );
    let list = folder.kplan(&["state", "list", "--sandbox"]).ok().out;
    assert!(!list.contains("tag.owner"), "{list}");
    // It still exists, so it is not made again: somebody has to look.
    let again = folder.kplan(&["state", "rm", "--sandbox", "tag.owner", "--json"]);
    let again = again.expect_code(1).json();
    assert_eq!(again["diagnostics"][0]["code"], "state::unknown_address");

    let serial = before.to_string();
    let asked = folder.kplan(&["state", "restore", "--sandbox", &serial, "--json"]);
    let asked = asked.expect_code(1).json();
    assert_eq!(asked["diagnostics"][0]["code"], "cli::no_consent");
    let restored = folder.kplan(&["state", "restore", "--sandbox", &serial, "--auto-approve"]);
    let restored = restored.ok().out;
    assert!(restored.contains("+ tag.owner"), "{restored}");
    folder.assert_no_changes();
    let history = folder.kplan(&["state", "history", "--sandbox"]).ok().out;
    assert!(history.contains("kplan state rm"), "{history}");
    assert!(history.contains("kplan state restore"), "{history}");
}

#[test]
fn a_document_of_the_state_is_pushed_when_it_is_of_this_state_and_not_older() {
    let folder = Folder::with(SMALL);
    folder.apply().ok();
    let document = folder.kplan(&["state", "pull", "--sandbox"]).ok().out;
    let file = folder.path().join("state.json");
    std::fs::write(&file, &document).expect("written");
    let file = file.to_str().expect("a path");
    folder
        .kplan(&["state", "rm", "--sandbox", "tag.owner"])
        .ok();
    let older = folder.kplan(&["state", "push", "--sandbox", file, "--json"]);
    let older = older.expect_code(1).json();
    assert_eq!(older["diagnostics"][0]["code"], "state::older");
    folder
        .kplan(&["state", "push", "--sandbox", file, "--force"])
        .ok();
    folder.assert_no_changes();
    let foreign = document.replacen("\"lineage\":\"", "\"lineage\":\"0", 1);
    std::fs::write(file, foreign).expect("written");
    let foreign = folder.kplan(&["state", "push", "--sandbox", file, "--json"]);
    let foreign = foreign.expect_code(1).json();
    assert_eq!(foreign["diagnostics"][0]["code"], "state::other_lineage");
}

#[test]
fn who_was_removed_reads_no_more() {
    let folder = Folder::with(SMALL);
    folder.apply().ok();
    let other = Identity::generate();
    let recipient = other.recipients().remove(0);
    let recipients = |arguments: &[&str]| {
        let mut all = vec!["state", "recipients"];
        all.extend(arguments);
        all.extend(["--sandbox", "--json"]);
        folder.kplan(&all)
    };
    let added = recipients(&["add", &recipient]).ok().json();
    assert_eq!(added["recipients"].as_array().map(Vec::len), Some(2));
    let removed = recipients(&["remove", &recipient]).ok().json();
    assert_eq!(removed["recipients"].as_array().map(Vec::len), Some(1));
    let own = removed["recipients"][0].as_str().expect("a recipient");
    let refused = recipients(&["remove", own]).expect_code(1).json();
    assert_eq!(refused["diagnostics"][0]["code"], "state::locked_out");
    folder.assert_no_changes();
    let checked = folder.kplan(&["state", "verify", "--sandbox"]).ok().out;
    assert!(checked.contains("every secret opens"), "{checked}");
}
