//! API tokens besides the account's own: each may do only what its scopes say.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;
use super::table::Row;
use crate::digitalocean::{routes, scopes};
use crate::http::ApiError;

/// Most tokens besides the account's own. Each has request limits of its own, kept in memory.
const MAX_TOKENS: usize = 100;

/// Scopes that no endpoint of the document asks for by itself: whole-API tokens of old (`read`,
/// `write`, and the same with their family), and what decides whether answers hold passwords.
const WIDE: &[&str] = &[
    "read",
    "write",
    "api:read",
    "api:write",
    "database:view_credentials",
];

/// A token's row; its key is the token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) scopes: BTreeSet<String>,
    created_at: Timestamp,
}

impl Row for Token {
    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

/// What the sender of a request may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everything: the account's own token.
    Full,
    /// What these scopes say.
    Scopes(BTreeSet<String>),
}

impl Access {
    /// Whether a scope is among what may be done.
    pub(crate) fn allows(&self, scope: &str) -> bool {
        let Access::Scopes(own) = self else {
            return true;
        };
        let has = |scope: &str| own.contains(scope);
        let read = scope.ends_with(":read");
        // The document: `project:update` grants this too.
        if scope == "project:assign_resource" && has("project:update") {
            return true;
        }
        has(scope) || has("write") || has("api:write") || read && (has("read") || has("api:read"))
    }

    /// A scope that is missing, when none of these alternatives is there as a whole.
    pub(crate) fn missing(&self, alternatives: &[Vec<String>]) -> Option<String> {
        let mut missing = None;
        for all in alternatives {
            let lacks = all.iter().find(|scope| !self.allows(scope))?;
            missing = missing.or_else(|| Some(lacks.clone()));
        }
        missing
    }
}

/// Makes a token with these scopes; refuses scopes that would change nothing here.
pub(crate) fn create(world: &mut World, wanted: BTreeSet<String>) -> Result<String, ApiError> {
    if wanted.is_empty() {
        return Err(ApiError::unprocessable(
            "scopes must name at least one scope, such as droplet:read",
        ));
    }
    let known = known();
    if let Some(unknown) = wanted.iter().find(|scope| !known.contains(*scope)) {
        let all: Vec<String> = known.into_iter().collect();
        return Err(ApiError::unprocessable(format!(
            "the sandbox asks for no scope {unknown}; it asks for: {}",
            all.join(", ")
        )));
    }
    if world.tokens.len() >= MAX_TOKENS {
        return Err(ApiError::unprocessable(format!(
            "the sandbox keeps at most {MAX_TOKENS} tokens; delete one"
        )));
    }
    let token = format!("dop_v1_{}", world.rng.hex(64));
    let created_at = world.now();
    let row = Token {
        scopes: wanted,
        created_at,
    };
    world.tokens.insert(token.clone(), row);
    Ok(token)
}

/// Every scope that makes a difference here.
fn known() -> BTreeSet<String> {
    routes::coverage()
        .filter(|(.., simulated)| *simulated)
        .flat_map(|(method, path, _)| scopes::required(method, path))
        .flatten()
        .chain(scopes::asked_for())
        .chain(WIDE.iter().map(|scope| (*scope).to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(scopes: &[&str]) -> Access {
        Access::Scopes(scopes.iter().map(|scope| (*scope).to_owned()).collect())
    }

    #[test]
    fn a_scope_allows_itself_and_old_scopes_allow_all_of_their_sort() {
        assert!(Access::Full.allows("droplet:delete"));
        let table = [
            (&["droplet:read"][..], "droplet:read", true),
            (&["droplet:read"], "droplet:create", false),
            (&["droplet:read"], "vpc:read", false),
            (&["read"], "vpc:read", true),
            (&["api:read"], "vpc:read", true),
            (&["read"], "vpc:create", false),
            (&["read"], "database:view_credentials", false),
            (&["write"], "vpc:create", true),
            (&["api:write"], "database:view_credentials", true),
        ];
        for (scopes, asked, allowed) in table {
            assert_eq!(access(scopes).allows(asked), allowed, "{scopes:?} {asked}");
        }
    }

    #[test]
    fn one_alternative_is_enough() {
        let needed = [
            vec!["domain:create".to_owned()],
            vec!["domain:update".to_owned()],
        ];
        assert_eq!(access(&["domain:update"]).missing(&needed), None);
        assert_eq!(
            access(&["domain:read"]).missing(&needed).as_deref(),
            Some("domain:create")
        );
    }

    #[test]
    fn all_scopes_of_an_endpoint_are_needed() {
        let needed = [vec!["sizes:read".to_owned(), "regions:read".to_owned()]];
        assert_eq!(
            access(&["sizes:read"]).missing(&needed).as_deref(),
            Some("regions:read")
        );
        assert_eq!(
            access(&["sizes:read", "regions:read"]).missing(&needed),
            None
        );
    }
}
