//! Backups in a bucket that is there already: what volumes hold in it opens with the password it
//! was begun with, and with no other.

use crate::support::bucket::Shared;
use crate::support::{Run, SMALL};

fn with_backup(shared: &Shared, more: &str) -> String {
    let place = shared.backend().replace("/clusters", "/backups");
    format!(
        "{SMALL}\n[backup]\nstore = \"{place}\"\ncredentials = {{ access_key = \"{}\", secret_key = \
         {{ env = \"SPACES_SECRET_ACCESS_KEY\" }} }}\nschedules = [{{ name = \"nightly\", cron = \
         \"0 2 * * *\" }}]\n{more}",
        shared.access_key()
    )
}

#[test]
fn a_bucket_with_volumes_of_another_life_needs_their_password() {
    let shared = Shared::with(2000.0);
    let plan = |more: &str| {
        shared.first.write(&with_backup(&shared, more));
        let mut command = shared.command(&shared.first, &["plan", "--sandbox"]);
        command.env("OLD_PASSWORD", "static-passw0rd");
        Run::of(command)
    };
    shared.put("backups/backups/nightly-1/velero-backup.json", b"{}");
    let first = plan("").ok();
    assert!(
        first.out.contains("repository_password.backup"),
        "{}",
        first.out
    );
    shared.put("backups/kopia/default/kopia.repository", b"x");
    let refused = plan("").expect_code(6);
    assert!(
        refused.err.contains("backup::password_unknown"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("backups/kopia/"), "{}", refused.err);
    let given = plan("repository_password = { env = \"OLD_PASSWORD\" }\n").ok();
    assert!(
        !given.out.contains("repository_password.backup"),
        "{}",
        given.out
    );
    assert!(!given.out.contains("static-passw0rd"), "{}", given.out);
}
