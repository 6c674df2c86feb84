//! Helm's requests to the API server, with the rights of the pod's account.

use serde_json::Value;

use super::Pass;
use crate::kubernetes::authn::Identity;
use crate::kubernetes::authz::{self, Attributes};
use crate::kubernetes::object::{self, Object, text};
use crate::kubernetes::resources::ResourceType;
use crate::kubernetes::write::{DeleteOptions, Patch, Target, WriteOptions};

/// The field manager of Helm's applies.
const MANAGER: &str = "helm";

/// Whoever the pod is.
pub(super) struct Client<'a, 'p> {
    pass: &'a Pass<'p>,
    identity: Identity,
}

impl<'a, 'p> Client<'a, 'p> {
    /// The client of a pod.
    pub(super) fn new(pass: &'a Pass<'p>, pod: &Value) -> Client<'a, 'p> {
        let namespace = object::namespace(pod);
        let account = text(pod, &["spec", "serviceAccountName"]).unwrap_or("default");
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let own = format!("system:serviceaccounts:{namespace}");
        Client {
            pass,
            identity: Identity::new(&user, &["system:serviceaccounts", &own]),
        }
    }

    /// The cluster's side of what only the sandbox asks.
    pub(super) fn pass(&self) -> &'a Pass<'p> {
        self.pass
    }

    fn may(&self, verb: &str, at: &Target<'_>) -> Result<(), String> {
        let wanted = Attributes {
            verb: verb.to_owned(),
            group: at.resource.group.clone(),
            resource: at.resource.plural.clone(),
            namespace: at.namespace.to_owned(),
            name: at.name.to_owned(),
            ..Attributes::default()
        };
        if authz::allowed(&self.pass.server.storage, &self.identity, &wanted) {
            return Ok(());
        }
        let (kind, user) = (at.resource.qualified(), &self.identity.user);
        Err(format!(
            "{kind} \"{}\" is forbidden: User \"{user}\" cannot {verb} resource \"{}\" in API group \"{}\"",
            at.name, at.resource.plural, at.resource.group
        ))
    }

    /// Applies an object on the server's side, without taking fields of others.
    pub(super) fn apply(&self, at: Target<'_>, object: Value) -> Result<(), String> {
        self.may("patch", &at)?;
        let options = WriteOptions {
            manager: MANAGER.to_owned(),
            ..WriteOptions::default()
        };
        let applied = self.pass.server.patch(at, Patch::Apply(object), &options);
        applied.map(drop).map_err(|error| error.message)
    }

    /// Creates an object; one that is there already is left as it is.
    pub(super) fn create(&self, at: Target<'_>, object: Value) -> Result<(), String> {
        self.may("create", &at)?;
        let options = WriteOptions {
            manager: MANAGER.to_owned(),
            ..WriteOptions::default()
        };
        let server = self.pass.server;
        match server.create(at.resource, at.namespace, object, &options) {
            Err(error) if error.reason != "AlreadyExists" => Err(error.message),
            _ => Ok(()),
        }
    }

    /// Replaces an object.
    pub(super) fn update(&self, at: Target<'_>, object: Value) -> Result<(), String> {
        self.may("update", &at)?;
        let options = WriteOptions {
            manager: MANAGER.to_owned(),
            ..WriteOptions::default()
        };
        let updated = self.pass.server.update(at, object, &options);
        updated.map(drop).map_err(|error| error.message)
    }

    /// Deletes an object that is there and not on its way out.
    pub(super) fn delete(&self, at: Target<'_>) -> Result<(), String> {
        let Some(found) = self.get(at) else {
            return Ok(());
        };
        if object::terminating(&found) {
            return Ok(());
        }
        self.may("delete", &at)?;
        let deleted = self.pass.server.delete(at, &DeleteOptions::default());
        deleted.map(drop).map_err(|error| error.message)
    }

    /// The object there.
    pub(super) fn get(&self, at: Target<'_>) -> Option<Object> {
        self.pass
            .get(&at.resource.storage_key(), at.namespace, at.name)
    }
}

/// Where an object of a release lives: its own namespace, or the release's.
pub(super) fn place<'r>(
    resource: &'r ResourceType,
    object: &'r Value,
    namespace: &'r str,
) -> Target<'r> {
    let own = object::namespace(object);
    let namespace = match (resource.namespaced, own) {
        (false, _) => "",
        (true, "") => namespace,
        (true, own) => own,
    };
    Target {
        resource,
        namespace,
        name: object::name(object),
        subresource: "",
    }
}
