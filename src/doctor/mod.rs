//! `kplan doctor`: everything an operator should worry about, each as a check with a stable code.
//! Looks, and changes nothing.
//!
//! A check is one function from what was read to a [`Verdict`]. All run at once; what several need
//! (the cluster's nodes, say) is read once, by [`Examination`]. One that cannot look says why and
//! hides no other.

mod account;
mod backups;
mod certificates;
pub mod examination;
mod files;
mod metadata;
mod nodes;
mod resources;
mod state;
mod storage;
mod token;
pub mod verdict;
mod versions;

pub use examination::Examination;
pub use token::NEW_TOKEN;
pub use verdict::{Outcome, Verdict};

use futures_util::future::{LocalBoxFuture, join_all};
use std::time::Duration;

/// How long a check may take; the longest is the one that waits for pods.
const LIMIT: Duration = Duration::from_mins(2);

/// One thing to look at.
pub struct Check {
    /// Its stable code, `doctor::…`.
    pub code: &'static str,
    look: for<'a> fn(&'a Examination) -> LocalBoxFuture<'a, Verdict>,
}

macro_rules! checks {
    ($($code:literal => $look:path,)*) => {
        &[$(Check { code: $code, look: |examination| Box::pin($look(examination)) }),*]
    };
}

/// All of them, in the order in which they are told: from what everything rests on to what rests
/// on everything.
pub const CHECKS: &[Check] = checks! {
    "doctor::file" => files::file,
    "doctor::artifacts" => files::artifacts,
    "doctor::state" => state::readable,
    "doctor::recipients" => state::recipients,
    "doctor::lock" => state::lock,
    "doctor::token" => token::works,
    "doctor::token_scopes" => token::scopes,
    "doctor::controllers_token" => token::controllers,
    "doctor::account" => account::status,
    "doctor::limits" => account::limits,
    "doctor::rate_limit" => account::rate,
    "doctor::resources" => resources::cloud,
    "doctor::api" => nodes::api,
    "doctor::nodes" => nodes::nodes,
    "doctor::versions" => versions::nodes,
    "doctor::components" => versions::components,
    "doctor::metadata" => metadata::blocked,
    "doctor::authorities" => certificates::authorities,
    "doctor::api_certificate" => certificates::served,
    "doctor::sealing_certificate" => certificates::sealing,
    "doctor::addons" => resources::cluster,
    "doctor::root_application" => resources::root_application,
    "doctor::default_class" => storage::default_class,
    "doctor::backups" => backups::overdue,
    "doctor::backup_location" => backups::location,
    "doctor::recovery_kit" => backups::kit,
};

/// Those about a K3s cluster of kplan's: where there is none, there is nothing to look at.
const OF_CLUSTER: &[&str] = &[
    "doctor::artifacts",
    "doctor::controllers_token",
    "doctor::api",
    "doctor::nodes",
    "doctor::versions",
    "doctor::components",
    "doctor::metadata",
    "doctor::authorities",
    "doctor::api_certificate",
    "doctor::sealing_certificate",
    "doctor::addons",
    "doctor::root_application",
    "doctor::default_class",
    "doctor::backups",
    "doctor::backup_location",
    "doctor::recovery_kit",
];

/// Makes all checks. Verdicts are in the order of [`CHECKS`].
pub async fn examine(examination: &Examination) -> Vec<(&'static str, Verdict)> {
    let none = examination.no_cluster();
    join_all(CHECKS.iter().map(|check| async {
        if let Some(why) = none.filter(|_| OF_CLUSTER.contains(&check.code)) {
            return (check.code, Verdict::not_looked(why));
        }
        let looked = tokio::time::timeout(LIMIT, (check.look)(examination)).await;
        let verdict = looked.unwrap_or_else(|_| {
            let seconds = LIMIT.as_secs();
            Verdict::not_looked(format!("nobody answered within {seconds} s"))
        });
        (check.code, verdict)
    }))
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_a_code_of_its_own_and_a_place_in_the_guide() {
        let guide =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/doctor.md"))
                .expect("the guide");
        let codes: BTreeSet<&str> = CHECKS.iter().map(|check| check.code).collect();
        assert_eq!(codes.len(), CHECKS.len());
        assert!(OF_CLUSTER.iter().all(|code| codes.contains(code)));
        for code in codes {
            assert!(guide.contains(&format!("`{code}`")), "{code}");
        }
    }
}
