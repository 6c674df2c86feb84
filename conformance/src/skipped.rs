//! What a test says that cannot run where it is.

use crate::document::is_required;

/// Says that a test cannot run here for want of something.
///
/// # Panics
/// Where `KPLAN_TEST_REQUIRE=1` says that everything any test needs is there.
#[track_caller]
#[expect(
    clippy::print_stdout,
    reason = "for tests only, whose output is theirs"
)]
pub fn skipped(needs: &str) {
    println!("skipped: needs {needs}");
    assert!(
        !is_required(),
        "{needs} is missing, and KPLAN_TEST_REQUIRE=1 says that nothing is"
    );
}
