//! Label selectors and field selectors, in queries and in specs.

use serde_json::{Map, Value};

use super::object::{at, items, map, text};
use super::resources::ResourceType;

#[derive(Clone, Debug, PartialEq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// A conjunction of requirements on labels. The default one matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Parses the `labelSelector` of a query.
    pub(crate) fn parse(query: &str) -> Result<LabelSelector, String> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(query) {
            let part = part.trim();
            if !part.is_empty() {
                requirements.push(requirement(part).ok_or_else(|| unparsable(part))?);
            }
        }
        Ok(LabelSelector { requirements })
    }

    /// The selector of a spec (`matchLabels`, `matchExpressions`).
    pub(crate) fn of_spec(spec: &Value) -> LabelSelector {
        let mut requirements = Vec::new();
        for (key, value) in map(spec, &["matchLabels"]).into_iter().flatten() {
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.as_str().unwrap_or_default().to_owned()],
            });
        }
        requirements.extend(
            items(spec, &["matchExpressions"])
                .iter()
                .filter_map(expression),
        );
        LabelSelector { requirements }
    }

    /// Whether labels fulfil every requirement.
    pub(crate) fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels
                .and_then(|labels| labels.get(&requirement.key))
                .and_then(Value::as_str);
            requirement.holds(value)
        })
    }
}

impl Requirement {
    fn holds(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = self.values.first().and_then(|text| number(text));
        match (&self.operator, value) {
            (Operator::In, Some(value)) => listed(value),
            (Operator::NotIn, Some(value)) => !listed(value),
            (Operator::Exists, Some(_)) | (Operator::DoesNotExist | Operator::NotIn, None) => true,
            (Operator::GreaterThan, Some(value)) => {
                number(value).zip(bound).is_some_and(|(v, b)| v > b)
            }
            (Operator::LessThan, Some(value)) => {
                number(value).zip(bound).is_some_and(|(v, b)| v < b)
            }
            _ => false,
        }
    }
}

/// An expression of a label selector, a node affinity or a set-based field.
fn expression(value: &Value) -> Option<Requirement> {
    let operator = match text(value, &["operator"])? {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    };
    let values = items(value, &["values"])
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned);
    Some(Requirement {
        key: text(value, &["key"])?.to_owned(),
        operator,
        values: values.collect(),
    })
}

fn split_outside_parentheses(query: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in query.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&query[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&query[start..]);
    parts
}

/// What the server says of a requirement, by the first word it did not expect.
fn unparsable(part: &str) -> String {
    let mut words = part.split_whitespace();
    let first = words.next().unwrap_or_default();
    let found = if let Some(rest) = first.strip_prefix('!') {
        format!(
            "found '{}', expected: identifier",
            rest.get(..1).unwrap_or(rest)
        )
    } else {
        match (words.next().unwrap_or_default(), words.next()) {
            ("in" | "notin", Some(value)) => format!("found '{value}' expected: '('"),
            (word, _) => format!("found '{word}', expected: in, notin, =, ==, !=, gt, lt"),
        }
    };
    format!("unable to parse requirement: {found}")
}

fn requirement(part: &str) -> Option<Requirement> {
    let make = |key: &str, operator, values: Vec<String>| {
        let key = key.trim();
        let fits = !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        fits.then(|| Requirement {
            key: key.to_owned(),
            operator,
            values,
        })
    };
    if let Some((head, values)) = part.strip_suffix(')').and_then(|p| p.split_once('(')) {
        let values = values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        return match operator {
            "in" => make(key, Operator::In, values),
            "notin" => make(key, Operator::NotIn, values),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return make(key, Operator::NotIn, vec![value.trim().to_owned()]);
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return make(key, Operator::In, vec![value.trim().to_owned()]);
    }
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::DoesNotExist, Vec::new());
    }
    if let Some((key, value)) = part.split_once('>') {
        return make(key, Operator::GreaterThan, vec![value.trim().to_owned()]);
    }
    if let Some((key, value)) = part.split_once('<') {
        return make(key, Operator::LessThan, vec![value.trim().to_owned()]);
    }
    make(part, Operator::Exists, Vec::new())
}

/// Fields that built-in resources can be selected by besides their name and namespace. Source: the
/// reference page "Field Selectors", list of supported fields.
const SELECTABLE: &[(&str, &[&str])] = &[
    (
        "/pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    ),
    (
        "/events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("/secrets", &["type"]),
    ("/namespaces", &["status.phase"]),
    ("/nodes", &["spec.unschedulable"]),
    ("/replicationcontrollers", &["status.replicas"]),
    ("/services", &["spec.clusterIP", "spec.type"]),
    ("apps/replicasets", &["status.replicas"]),
    ("batch/jobs", &["status.successful"]),
    (
        "certificates.k8s.io/certificatesigningrequests",
        &["spec.signerName"],
    ),
];

/// A conjunction of equalities on fields, such as `status.phase=Running,metadata.name!=x`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FieldSelector {
    terms: Vec<(Vec<String>, bool, String)>,
}

impl FieldSelector {
    /// Parses the `fieldSelector` of a query.
    pub(crate) fn parse(query: &str) -> Result<FieldSelector, String> {
        let mut terms = Vec::new();
        for part in query
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (path, equal, value) = if let Some((path, value)) = part.split_once("!=") {
                (path, false, value)
            } else if let Some((path, value)) =
                part.split_once("==").or_else(|| part.split_once('='))
            {
                (path, true, value)
            } else {
                return Err(format!(
                    "invalid selector: '{query}'; can't understand '{part}'"
                ));
            };
            terms.push((
                path.trim().split('.').map(str::to_owned).collect(),
                equal,
                value.to_owned(),
            ));
        }
        Ok(FieldSelector { terms })
    }

    /// The selector, unless the resource cannot be selected by one of its fields.
    pub(crate) fn supported(self, resource: &ResourceType) -> Result<FieldSelector, String> {
        let collection = resource.storage_key();
        let own = SELECTABLE.iter().find(|(name, _)| *name == collection);
        let declared = resource.custom().map(|version| &version.selectable);
        for (path, ..) in &self.terms {
            let label = path.join(".");
            let known = matches!(label.as_str(), "metadata.name" | "metadata.namespace")
                || own.is_some_and(|(_, labels)| labels.contains(&label.as_str()))
                || declared.is_some_and(|labels| labels.contains(&label));
            if known {
                continue;
            }
            return Err(if own.is_some() || declared.is_some() {
                format!("field label not supported: {label}")
            } else {
                format!(
                    "\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            });
        }
        Ok(self)
    }

    /// Whether an object fulfils every term; absent fields count as empty.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|(path, equal, wanted)| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let found = match at(object, &path) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (found == *wanted) == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn label_queries_mean_what_kubectl_means() {
        let labels = json!({"app": "web", "tier": "1"});
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web,tier", true),
            ("app!=web", false),
            ("other!=x", true),
            ("app in (db, web),!other", true),
            ("app notin (web)", false),
            ("tier>0,tier<2", true),
            ("!app", false),
        ];
        for (query, expected) in cases {
            let selector = LabelSelector::parse(query).unwrap();
            assert_eq!(selector.matches(labels.as_object()), expected, "{query}");
        }
        assert!(LabelSelector::parse("a b").is_err());
    }

    #[test]
    fn spec_and_field_selectors() {
        let spec = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]});
        let selector = LabelSelector::of_spec(&spec);
        assert!(selector.matches(json!({"a": "1"}).as_object()));
        assert!(!selector.matches(json!({"a": "1", "b": ""}).as_object()));
        let fields = FieldSelector::parse("metadata.name=x,status.phase!=Running").unwrap();
        assert!(fields.matches(&json!({"metadata": {"name": "x"}})));
        assert!(
            !fields.matches(&json!({"metadata": {"name": "x"}, "status": {"phase": "Running"}}))
        );
    }
}
