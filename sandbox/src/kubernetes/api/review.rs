//! Reviews: questions in the form of objects that are never stored.

use axum::response::Response;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Call;
use crate::kubernetes::authn::Identity;
use crate::kubernetes::authz::{self, Attributes};
use crate::kubernetes::object::{items, set, text};
use crate::kubernetes::status::{ApiError, json_response};

/// The answer, if the request is a review.
pub(super) fn answer(call: &Call<'_>) -> Option<Result<Response, ApiError>> {
    let path = &call.path;
    let make: fn(&Call<'_>, Value) -> Result<Value, ApiError> = match (
        path.group.as_str(),
        path.version.as_str(),
        path.resource.as_str(),
    ) {
        ("authorization.k8s.io", "v1", "selfsubjectaccessreviews" | "subjectaccessreviews") => {
            access
        }
        ("authorization.k8s.io", "v1", "selfsubjectrulesreviews") => {
            |call, body| Ok(rules(call, body))
        }
        ("authentication.k8s.io", "v1", "selfsubjectreviews") => {
            |call, body| Ok(subject(call, body))
        }
        _ => return None,
    };
    if call.parts.method != Method::POST {
        return Some(Err(ApiError::method_not_allowed()));
    }
    let reviewed = call.document().and_then(|body| make(call, body));
    Some(reviewed.map(|body| json_response(StatusCode::CREATED, &body)))
}

fn access(call: &Call<'_>, mut body: Value) -> Result<Value, ApiError> {
    let string = |path: &[&str]| text(&body, path).unwrap_or_default().to_owned();
    let resource = |field: &str| string(&["spec", "resourceAttributes", field]);
    let path = string(&["spec", "nonResourceAttributes", "path"]);
    let wanted = if path.is_empty() {
        Attributes {
            verb: resource("verb"),
            group: resource("group"),
            resource: resource("resource"),
            subresource: resource("subresource"),
            namespace: resource("namespace"),
            name: resource("name"),
            path: None,
        }
    } else {
        let verb = string(&["spec", "nonResourceAttributes", "verb"]);
        Attributes {
            verb,
            path: Some(path),
            ..Attributes::default()
        }
    };
    if wanted.verb.is_empty() {
        return Err(ApiError::bad_request("an access review must name a verb"));
    }
    let own = call.path.resource == "selfsubjectaccessreviews";
    let identity = if own {
        call.identity.clone()
    } else {
        authorised_to_ask(call)?;
        let groups = items(&body, &["spec", "groups"]).iter();
        Identity {
            user: string(&["spec", "user"]),
            groups: groups
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        }
    };
    let allowed = authz::allowed(&call.server.storage, &identity, &wanted);
    set(&mut body, &["status"], json!({"allowed": allowed}));
    let kind = if own {
        "SelfSubjectAccessReview"
    } else {
        "SubjectAccessReview"
    };
    set(&mut body, &["kind"], kind);
    set(&mut body, &["apiVersion"], "authorization.k8s.io/v1");
    Ok(body)
}

/// Asking about others needs the right to.
fn authorised_to_ask(call: &Call<'_>) -> Result<(), ApiError> {
    let wanted = Attributes {
        verb: "create".to_owned(),
        group: call.path.group.clone(),
        resource: call.path.resource.clone(),
        ..Attributes::default()
    };
    if authz::allowed(&call.server.storage, call.identity, &wanted) {
        Ok(())
    } else {
        Err(authz::refusal(call.identity, &wanted))
    }
}

/// Everything the client may do in a namespace.
fn rules(call: &Call<'_>, mut body: Value) -> Value {
    let namespace = text(&body, &["spec", "namespace"])
        .unwrap_or_default()
        .to_owned();
    let all = authz::rules_of(&call.server.storage, call.identity, &namespace);
    let (paths, resources): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .partition(|rule| rule.get("nonResourceURLs").is_some());
    let status =
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false});
    set(&mut body, &["status"], status);
    set(&mut body, &["kind"], "SelfSubjectRulesReview");
    set(&mut body, &["apiVersion"], "authorization.k8s.io/v1");
    body
}

fn subject(call: &Call<'_>, mut body: Value) -> Value {
    let mut groups = call.identity.groups.clone();
    groups.push("system:authenticated".to_owned());
    let user = json!({"username": call.identity.user, "groups": groups});
    set(&mut body, &["kind"], "SelfSubjectReview");
    set(&mut body, &["apiVersion"], "authentication.k8s.io/v1");
    set(&mut body, &["status"], json!({"userInfo": user}));
    body
}
