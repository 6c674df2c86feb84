//! Every exchange between kplan and the embedded cloud is held against DigitalOcean's document.

use crate::support::{Folder, repository};
use std::io::BufReader;

/// Judges what the folder's cloud recorded; says so when the judge is not here.
#[track_caller]
pub fn judge(folder: &Folder) {
    let document = match kplan_conformance::required_document() {
        Ok(Some(document)) => document,
        Ok(None) => {
            println!("skipped: needs KPLAN_TEST_OPENAPI");
            return;
        }
        Err(why) => panic!("{why}"),
    };
    let _ = repository();
    let file = std::fs::File::open(folder.record_path()).expect("recorded exchanges");
    let report = document.check_lines(BufReader::new(file)).expect("readable exchanges");
    assert!(report.violations.is_empty(), "{report:#?}");
}
