//! Namespaces that several parts may share: made where they are missing, and nobody's to remove.

use super::bundle::Target;
use super::object::Object;
use super::session::Ownership;
use kplan_model::ProviderError;
use serde_json::{Value, json};

/// Makes the namespace where it is not there.
pub(super) async fn ensure(to: &Target<'_>, name: &str) -> Result<(), ProviderError> {
    let object = Object::new("v1", "Namespace", None, name);
    if to.session.get(&object).await?.is_some() {
        return Ok(());
    }
    to.session
        .apply(to.permit, &self::object(name), Ownership::Respect)
        .await
        .map(drop)
}

/// The namespace itself.
pub(super) fn object(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name },
    })
}
