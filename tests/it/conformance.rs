//! Every exchange between kplan and the embedded cloud is held against DigitalOcean's document.

use crate::support::Folder;
use std::io::BufReader;

/// Judges what the folder's cloud recorded; says so when the judge is not here.
#[track_caller]
pub(crate) fn judge(folder: &Folder) {
    let document = match kplan_conformance::required_document() {
        Ok(Some(document)) => document,
        Ok(None) => {
            kplan_conformance::skipped("KPLAN_TEST_OPENAPI");
            return;
        }
        Err(why) => panic!("{why}"),
    };
    let file = std::fs::File::open(folder.record_path()).expect("recorded exchanges");
    let mut report = document
        .check_lines(BufReader::new(file))
        .expect("readable exchanges");
    kplan_conformance::Exceptions::bundled()
        .expect("readable exceptions")
        .apply(&mut report);
    assert!(report.exchanges > 0, "nothing was recorded");
    assert!(report.violations.is_empty(), "{report:#?}");
}
