//! `preflight::token_scope`: what the token may not read, kplan can neither make nor find again.

use super::Finding;
use super::sight::Sight;
use crate::doctor::NEW_TOKEN;
use kplan_model::{ErrorKind, ProviderError};
use kplan_providers::digitalocean::list_of;
use kplan_providers::http::read_scope;

/// Kinds that are to be made and whose list the token is refused. What it may change is not known before
/// it is tried: DigitalOcean tells nobody.
pub(super) fn scopes(sight: &Sight<'_>) -> Vec<Finding> {
    let taken = sight
        .taken
        .iter()
        .map(|(kind, read)| (kind, read.as_ref().err()));
    let counts = sight
        .counts
        .iter()
        .map(|(kind, read)| (kind, read.as_ref().err()));
    let refused = taken.chain(counts).filter_map(|(kind, error)| {
        let denied = |error: &&ProviderError| error.kind == ErrorKind::Denied;
        error.filter(denied).map(|error| (kind, error))
    });
    refused
        .filter_map(|(kind, error)| finding(sight, kind, error))
        .collect()
}

fn finding(sight: &Sight<'_>, kind: &str, error: &ProviderError) -> Option<Finding> {
    let mut steps = sight.steps();
    let step = steps.find(|step| step.address.kind().as_str() == kind)?;
    let list = list_of(kind)?;
    let scope = read_scope(list).unwrap_or_else(|| list.to_owned());
    let message = format!(
        "the token lacks {scope}: kplan looks for what it makes, so that nothing is made twice ({})",
        error.message
    );
    Some(sight.error("preflight::token_scope", (step, "name"), message, NEW_TOKEN))
}

#[cfg(test)]
mod tests {
    use crate::preflight::testing::{Rig, codes};
    use kplan_model::{ErrorKind, ProviderError};

    #[test]
    fn a_list_that_is_refused_is_an_error_and_one_that_nobody_answers_is_none() {
        let mut rig = Rig::default();
        rig.create("droplet.a", &[("name", "a".into())]);
        for (kind, code) in [
            (ErrorKind::Denied, vec!["preflight::token_scope"]),
            (ErrorKind::Transient, vec![]),
        ] {
            let mut sight = rig.sight();
            let error = ProviderError::new(kind, "no");
            sight.counts.insert("droplet".to_owned(), Err(error));
            let found = super::scopes(&sight);
            assert_eq!(codes(&found), code);
            if let Some(first) = found.first() {
                assert!(first.message.contains("droplet:read"), "{}", first.message);
            }
        }
    }
}
