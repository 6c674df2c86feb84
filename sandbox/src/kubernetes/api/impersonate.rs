//! Acting as somebody else (`kubectl --as`), for those who may.

use http::HeaderMap;

use crate::kubernetes::authn::Identity;
use crate::kubernetes::authz::{self, Attributes};
use crate::kubernetes::status::ApiError;
use crate::kubernetes::storage::Storage;

/// Whom a request is made as: the one its headers name, if the client may act as them.
pub(super) fn acting(
    storage: &Storage,
    identity: Identity,
    headers: &HeaderMap,
) -> Result<Identity, ApiError> {
    let values = |name: &str| -> Vec<String> {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect()
    };
    let groups = values("impersonate-group");
    let Some(user) = values("impersonate-user").pop() else {
        if groups.is_empty() {
            return Ok(identity);
        }
        return Err(ApiError::bare(
            "requested [groups] without impersonating a user",
        ));
    };
    let account = user.strip_prefix("system:serviceaccount:");
    let (resource, namespace, name) = match account.and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => ("serviceaccounts", namespace, name),
        None => ("users", "", user.as_str()),
    };
    let wanted = |resource: &str, namespace: &str, name: &str| Attributes {
        verb: "impersonate".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let mut asked = vec![wanted(resource, namespace, name)];
    asked.extend(groups.iter().map(|group| wanted("groups", "", group)));
    for attributes in asked {
        if !authz::allowed(storage, &identity, &attributes) {
            return Err(authz::refusal(&identity, &attributes));
        }
    }
    Ok(Identity { user, groups })
}
