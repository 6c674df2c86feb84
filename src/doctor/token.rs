//! DigitalOcean tokens: kplan's own, and the one of the cluster's controllers.

use super::examination::{Counts, unread};
use super::{Examination, Verdict};
use crate::compose::platform;
use kplan_model::{ErrorKind, ProviderError, Value};
use kplan_providers::http::read_scope;
use serde_json::json;

/// DigitalOcean's code for a token that is none.
const UNAUTHORIZED: &str = "unauthorized";

/// What to do about a scope that is missing.
pub const NEW_TOKEN: &str = "scopes of a token cannot be changed: make a new one, with create, update and \
                             delete of the same kinds for whoever applies (DigitalOcean tells what a token \
                             may change only when it is asked to change it)";

fn is_no_token(error: &ProviderError) -> bool {
    let code = error.code.as_deref();
    code.is_some_and(|code| code.eq_ignore_ascii_case(UNAUTHORIZED))
}

/// DigitalOcean takes it.
pub(super) async fn works(at: &Examination) -> Verdict {
    if let Some(problem) = &at.no_token {
        return Verdict::problem(problem.message.clone())
            .help(problem.help.clone().unwrap_or_default());
    }
    judged(at.account().await.as_ref().err())
}

fn judged(refused: Option<&ProviderError>) -> Verdict {
    match refused {
        None => Verdict::ok("DigitalOcean takes the token"),
        // It is known there; what it may not see is the other checks' matter.
        Some(error) if error.kind == ErrorKind::Denied && !is_no_token(error) => {
            Verdict::ok("DigitalOcean takes the token; it may not look at the account")
        }
        Some(error) => Verdict::problem(error.message.clone()).help(
            error
                .help
                .clone()
                .unwrap_or_else(|| "without DigitalOcean nothing can be applied".to_owned()),
        ),
    }
}

/// What it may read of what the file and the record are made of.
pub(super) async fn scopes(at: &Examination) -> Verdict {
    if at.no_token.is_some() {
        return Verdict::not_looked("there is no DigitalOcean token");
    }
    judged_scopes(at.counts().await)
}

fn judged_scopes(counts: &Counts) -> Verdict {
    let (mut has, mut lacks) = (Vec::new(), Vec::new());
    for (list, outcome) in counts {
        let scope = read_scope(list).unwrap_or_else(|| (*list).to_owned());
        match outcome {
            Ok(_) => has.push(scope),
            Err(error) if is_no_token(error) => {
                return Verdict::not_looked("DigitalOcean does not take the token");
            }
            Err(error) if error.kind == ErrorKind::Denied => lacks.push(scope),
            Err(error) => return unread(list, error),
        }
    }
    let details = json!({ "has": has, "lacks": lacks });
    if lacks.is_empty() {
        return Verdict::ok(format!(
            "the token has {}; whether it may change what it reads, only an apply can tell",
            has.join(", ")
        ))
        .details(details);
    }
    Verdict::problem(format!("the token lacks {}", lacks.join(", ")))
        .details(details)
        .help(format!(
            "what cannot be read is left out of plans; {NEW_TOKEN}"
        ))
}

/// The controllers in the cluster have a token of their own.
pub(super) async fn controllers(at: &Examination) -> Verdict {
    let snapshot = match at.snapshot() {
        Ok(snapshot) => snapshot,
        Err(verdict) => return verdict,
    };
    let Some(record) = snapshot.resources.get(&platform::cloud_secret()) else {
        return Verdict::not_looked("there is no cluster on record yet");
    };
    let Some(Value::Secret(theirs)) = record.attribute("token") else {
        return Verdict::not_looked("the record of the controllers' token cannot be read");
    };
    let own = &at.session.cloud.token;
    match (theirs.expose(), own.expose()) {
        (Some(theirs), Some(own)) if theirs == own => Verdict::warning(
            "the cloud controller and the volume driver have your own DigitalOcean token",
        )
        .help(
            "whoever takes the cluster over can do with it what you can, and its requests count \
             against your limit. Make one with only the scopes they need and name it in \
             `[cloud_controller] token`",
        ),
        (Some(_), Some(_)) => Verdict::ok("the controllers have a token of their own"),
        _ => Verdict::not_looked("one of the two tokens is not at hand to compare"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    fn refused(code: &str) -> ProviderError {
        let mut error = ProviderError::new(ErrorKind::Denied, format!("refused: {code}"));
        error.code = Some(code.to_owned());
        error
    }

    #[test]
    fn a_token_that_may_not_see_the_account_is_one_and_a_revoked_one_is_none() {
        assert_eq!(judged(None).outcome, Outcome::Ok);
        assert_eq!(judged(Some(&refused("forbidden"))).outcome, Outcome::Ok);
        let revoked = judged(Some(&refused("Unauthorized")));
        assert_eq!(revoked.outcome, Outcome::Problem);
        let down = ProviderError::new(ErrorKind::Transient, "no route");
        assert_eq!(judged(Some(&down)).outcome, Outcome::Problem);
    }

    #[test]
    fn every_scope_that_is_missing_is_named_at_once() {
        let counts = Counts::from([
            ("/v2/droplets", Err(refused("forbidden"))),
            ("/v2/tags", Ok(Some(3))),
            ("/v2/volumes", Err(refused("forbidden"))),
        ]);
        let verdict = judged_scopes(&counts);
        assert_eq!(verdict.outcome, Outcome::Problem);
        assert_eq!(
            verdict.details["lacks"],
            json!(["droplet:read", "block_storage:read"])
        );
        assert_eq!(verdict.details["has"], json!(["tag:read"]));
    }

    #[test]
    fn without_an_answer_nothing_is_said_of_scopes() {
        let down = ProviderError::new(ErrorKind::Transient, "no route");
        let counts = Counts::from([("/v2/droplets", Err(down))]);
        assert_eq!(judged_scopes(&counts).outcome, Outcome::NotLookedAt);
        let counts = Counts::from([("/v2/droplets", Err(refused("unauthorized")))]);
        assert_eq!(judged_scopes(&counts).outcome, Outcome::NotLookedAt);
    }
}
