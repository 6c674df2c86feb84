//! What a request asks for: the path taken apart, and the query.

use std::collections::BTreeMap;

use http::Method;

use crate::kubernetes::status::ApiError;

/// The query of a request, percent-decoded; of repeated keys the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Parses what follows the question mark.
    pub(crate) fn parse(query: Option<&str>) -> Query {
        let mut pairs = BTreeMap::new();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.entry(decode(key)).or_insert_with(|| decode(value));
        }
        Query(pairs)
    }

    /// A parameter that is present and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A switch.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.0
            .get(key)
            .is_some_and(|value| matches!(value.as_str(), "" | "1" | "true" | "True"))
    }

    /// A number, if it is one.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (_, Some(decoded)) => {
                out.push(decoded);
                at += 3;
                continue;
            }
            (b'+', None) => out.push(b' '),
            (other, None) => out.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The path of a resource taken apart. Empty strings stand for absent parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl ResourcePath {
    /// Takes a path apart; paths that name no resource give nothing.
    pub(crate) fn parse(path: &str) -> Option<ResourcePath> {
        let decoded: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| decode(&part.replace('+', "%2B")))
            .collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `namespaces/x` is the namespace itself, with two subresources of its own.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => ("", rest),
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, "", String::new()),
            [resource, name] => (*resource, *name, String::new()),
            [resource, name, subresource @ ..] => (*resource, *name, subresource.join("/")),
            [] => return None,
        };
        Some(ResourcePath {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            subresource,
        })
    }

    /// The verb of access control.
    pub(crate) fn verb(&self, method: &Method, watch: bool) -> Result<&'static str, ApiError> {
        let named = !self.name.is_empty();
        match (method.as_str(), named) {
            ("GET" | "HEAD", false) if watch => Ok("watch"),
            ("GET" | "HEAD", true) => Ok("get"),
            ("GET" | "HEAD", false) => Ok("list"),
            ("POST", _) => Ok("create"),
            ("PUT", true) => Ok("update"),
            ("PATCH", true) => Ok("patch"),
            ("DELETE", true) => Ok("delete"),
            ("DELETE", false) => Ok("deletecollection"),
            _ => Err(ApiError::method_not_allowed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> Option<[String; 6]> {
        ResourcePath::parse(path).map(|p| {
            [
                p.group,
                p.version,
                p.namespace,
                p.resource,
                p.name,
                p.subresource,
            ]
        })
    }

    #[test]
    fn paths_come_apart() {
        let of = |text: [&str; 6]| Some(text.map(str::to_owned));
        assert_eq!(parts("/api/v1/pods"), of(["", "v1", "", "pods", "", ""]));
        assert_eq!(
            parts("/apis/apps/v1/namespaces/a/deployments/d/status"),
            of(["apps", "v1", "a", "deployments", "d", "status"])
        );
        assert_eq!(
            parts("/api/v1/namespaces/a"),
            of(["", "v1", "", "namespaces", "a", ""])
        );
        assert_eq!(
            parts("/api/v1/namespaces/a/finalize"),
            of(["", "v1", "", "namespaces", "a", "finalize"])
        );
        assert_eq!(
            parts("/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode"),
            of([
                "rbac.authorization.k8s.io",
                "v1",
                "",
                "clusterroles",
                "system:node",
                ""
            ])
        );
        assert_eq!(parts("/api/v1"), None);
        assert_eq!(parts("/healthz"), None);
    }

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse(Some("labelSelector=a%3Db%2Cc&watch&limit=5&x=a+b"));
        assert_eq!(query.get("labelSelector"), Some("a=b,c"));
        assert_eq!(query.get("x"), Some("a b"));
        assert!(query.is_set("watch") && !query.is_set("dryRun"));
        assert_eq!(query.number("limit"), Some(5));
    }
}
