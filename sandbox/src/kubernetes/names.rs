//! Rules of names, labels and annotations.

use serde_json::Value;

use super::object::{items, map, text};
use super::resources::ResourceType;
use super::status::Cause;

/// Bytes that all annotations of an object may have together.
const ANNOTATIONS: usize = 262_144;

/// What a DNS label may look like.
pub(crate) const LABEL_HELP: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_HELP: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED_HELP: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_HELP: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// A DNS label: at most 63 lower-case letters, digits and inner hyphens.
pub(crate) fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// DNS labels joined by dots, at most 253 characters.
pub(crate) fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_part)
}

fn is_label_part(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

fn is_qualified_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    part.len() <= 63
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && edge(part.chars().next())
        && edge(part.chars().last())
}

fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_qualified_part(name),
        None => is_qualified_part(key),
    }
}

/// What is wrong with the metadata of an object.
pub(crate) fn check(resource: &ResourceType, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    name(resource, object, &mut causes);
    for (key, value) in map(object, &["metadata", "labels"]).into_iter().flatten() {
        let shown = Value::from(key.as_str());
        if !is_qualified(key) {
            causes.push(Cause::invalid("metadata.labels", &shown, QUALIFIED_HELP));
        }
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() && !is_qualified_part(text) {
            let why = if text.len() > 63 {
                "must be no more than 63 bytes"
            } else {
                VALUE_HELP
            };
            causes.push(Cause::invalid("metadata.labels", value, why));
        }
    }
    let mut size = 0;
    for (key, value) in map(object, &["metadata", "annotations"])
        .into_iter()
        .flatten()
    {
        size += key.len() + value.as_str().map_or(0, str::len);
        if !is_qualified(&key.to_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &key.as_str().into(),
                QUALIFIED_HELP,
            ));
        }
    }
    finalizers(resource, object, &mut causes);
    if size > ANNOTATIONS {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            field: "metadata.annotations".to_owned(),
            message: format!("Too long: may not be more than {ANNOTATIONS} bytes"),
        });
    }
    causes
}

/// Finalizers of the system that need no domain.
const FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

fn finalizers(resource: &ResourceType, object: &Value, causes: &mut Vec<Cause>) {
    // Definitions and API services are checked by servers of their own, which ask for less.
    let core_rules = resource.custom().is_none()
        && !matches!(
            resource.group.as_str(),
            "apiextensions.k8s.io" | "apiregistration.k8s.io"
        );
    let finalizers = items(object, &["metadata", "finalizers"]);
    for (index, finalizer) in finalizers.iter().enumerate() {
        let text = finalizer.as_str().unwrap_or_default();
        if !is_qualified(text) {
            causes.push(Cause::invalid(
                "metadata.finalizers",
                finalizer,
                QUALIFIED_HELP,
            ));
        } else if core_rules && !text.contains('/') && !FINALIZERS.contains(&text) {
            let field = format!("metadata.finalizers[{index}]");
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(field, finalizer, why));
        }
    }
}

fn name(resource: &ResourceType, object: &Value, causes: &mut Vec<Cause>) {
    let name = text(object, &["metadata", "name"]).unwrap_or_default();
    if name.is_empty() {
        let mut cause = Cause::required("metadata.name");
        "Required value: name or generateName is required".clone_into(&mut cause.message);
        causes.push(cause);
        return;
    }
    let (fits, help) = match (resource.group.as_str(), resource.plural.as_str()) {
        // Names of roles are path segments: anything but slashes and percent signs.
        ("rbac.authorization.k8s.io", _) => {
            (!name.contains(['/', '%']), "may not contain '/' or '%'")
        }
        ("", "namespaces" | "services") if name.contains('.') => (false, "must not contain dots"),
        ("", "namespaces" | "services") => (is_label(name), LABEL_HELP),
        _ => (is_subdomain(name), SUBDOMAIN_HELP),
    };
    if !fits {
        causes.push(Cause::invalid("metadata.name", &name.into(), help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_follow_their_rules() {
        assert!(is_label("a-1") && !is_label("A") && !is_label("-a") && !is_label(&"a".repeat(64)));
        assert!(is_subdomain("applications.argoproj.io") && !is_subdomain("a..b"));
        assert!(is_qualified("app.kubernetes.io/name") && is_qualified("Tier_1"));
        assert!(!is_qualified("a/b/c") && !is_qualified("_x"));
    }
}
