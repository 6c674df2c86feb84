//! Bucket policies: what is understood is judged, anything else is refused when it is stored.
//!
//! Understood are Allow and Deny; the principals `*` and the account itself; actions and
//! resources with wildcards, also negated; and the address a request comes from. A policy is
//! parsed anew for every judgement: it has at most 20 KiB.

use std::net::IpAddr;

use ipnet::IpNet;
use s3s::{S3Error, S3Result, s3_error};
use serde_json::{Map, Value};

use super::actions::ACTIONS;
use super::objects::OWNER;
use super::pattern::fits;

/// Largest policy document in bytes.
const MAX_BYTES: usize = 20 * 1024;
/// Versions of the policy language.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
/// What resources are called.
const RESOURCE: &str = "arn:aws:s3:::";

/// What a policy says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it.
    Deny,
    /// No statement speaks of it.
    Silent,
}

/// A request as policies see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// `s3:…`.
    pub action: &'a str,
    /// The bucket's name, or `<bucket>/<key>`.
    pub resource: &'a str,
    /// Whether a key of the account signed it.
    pub signed: bool,
    /// Where it comes from, where that is known.
    pub source: Option<IpAddr>,
}

/// A policy the sandbox understands.
#[derive(Debug)]
pub(super) struct Policy(Vec<Statement>);

#[derive(Debug)]
struct Statement {
    allows: bool,
    /// Whether it speaks of everybody, not of the account's keys only.
    everybody: bool,
    actions: Names,
    resources: Names,
    /// Addresses, and whether a request has to come from one of them or from none.
    sources: Vec<(Vec<IpNet>, bool)>,
}

/// Patterns, or with `not` everything but them.
#[derive(Debug)]
struct Names {
    patterns: Vec<String>,
    not: bool,
}

impl Names {
    fn have(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.patterns.iter().any(|pattern| fits(pattern)) != self.not
    }
}

fn malformed(what: &str) -> S3Error {
    s3_error!(MalformedPolicy, "the policy {what}")
}

fn not_simulated(what: &str) -> S3Error {
    s3_error!(
        NotImplemented,
        "the sandbox does not simulate {what} in bucket policies; nothing was stored"
    )
}

impl Policy {
    /// Reads a document; refuses what it could not carry out.
    pub(super) fn parse(text: &str) -> S3Result<Policy> {
        if text.len() > MAX_BYTES {
            return Err(malformed(&format!("is larger than {MAX_BYTES} bytes")));
        }
        let document: Map<String, Value> =
            serde_json::from_str(text).map_err(|_invalid| malformed("is not a JSON object"))?;
        only(&document, &["Version", "Id", "Statement"])?;
        let version = document.get("Version").and_then(Value::as_str);
        if !version.is_some_and(|version| VERSIONS.contains(&version)) {
            return Err(malformed(&format!(
                "needs a Version, one of {}",
                VERSIONS.join(" and ")
            )));
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(all)) => all.iter().map(Statement::parse).collect(),
            Some(one @ Value::Object(_)) => Statement::parse(one).map(|one| vec![one]),
            _ => Err(malformed("needs a Statement: an object or a list of them")),
        };
        statements.map(Policy)
    }

    /// What the statements that fit say; a denial beats an allowance.
    pub(super) fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let fitting = || self.0.iter().filter(|statement| statement.fits(asked));
        if fitting().any(|statement| !statement.allows) {
            Verdict::Deny
        } else if fitting().next().is_some() {
            Verdict::Allow
        } else {
            Verdict::Silent
        }
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> S3Result<()> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(malformed(&format!("has an unknown field {unknown:?}"))),
        None => Ok(()),
    }
}

/// A string or a list of strings.
fn strings(value: &Value, name: &str) -> S3Result<Vec<String>> {
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts: Option<Vec<String>> = all
        .iter()
        .map(|text| text.as_str().map(str::to_owned))
        .collect();
    texts
        .filter(|texts| !texts.is_empty())
        .ok_or_else(|| malformed(&format!("needs a string or a list of strings as {name}")))
}

impl Statement {
    fn parse(value: &Value) -> S3Result<Statement> {
        let object = value
            .as_object()
            .ok_or_else(|| malformed("has a Statement that is not an object"))?;
        if object.contains_key("NotPrincipal") {
            return Err(not_simulated("NotPrincipal"));
        }
        let known = [
            "Sid",
            "Effect",
            "Principal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ];
        only(object, &known)?;
        let allows = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => {
                return Err(malformed(
                    "needs an Effect, Allow or Deny, in every Statement",
                ));
            }
        };
        let principal = object
            .get("Principal")
            .ok_or_else(|| malformed("needs a Principal in every Statement"))?;
        let actions = names(object, "Action", "NotAction")?;
        actions
            .patterns
            .iter()
            .try_for_each(|action| known_action(action))?;
        let resources = names(object, "Resource", "NotResource")?;
        resources
            .patterns
            .iter()
            .try_for_each(|resource| known_resource(resource))?;
        Ok(Statement {
            allows,
            everybody: everybody(principal)?,
            actions,
            resources,
            sources: object.get("Condition").map_or(Ok(Vec::new()), sources)?,
        })
    }

    fn fits(&self, asked: &Asked<'_>) -> bool {
        let action = asked.action.to_ascii_lowercase();
        let resource = format!("{RESOURCE}{}", asked.resource);
        (self.everybody || asked.signed)
            && self
                .actions
                .have(|pattern| fits(&pattern.to_ascii_lowercase(), &action))
            && self.resources.have(|pattern| fits(pattern, &resource))
            && self.sources.iter().all(|(nets, inside)| {
                let found = asked
                    .source
                    .is_some_and(|ip| nets.iter().any(|net| net.contains(&ip)));
                found == *inside
            })
    }
}

fn names(object: &Map<String, Value>, name: &str, negated: &str) -> S3Result<Names> {
    match (object.get(name), object.get(negated)) {
        (Some(value), None) => strings(value, name).map(|patterns| Names {
            patterns,
            not: false,
        }),
        (None, Some(value)) => strings(value, negated).map(|patterns| Names {
            patterns,
            not: true,
        }),
        _ => Err(malformed(&format!(
            "needs either {name} or {negated} in every Statement"
        ))),
    }
}

fn known_action(action: &str) -> S3Result<()> {
    let name = match action.split_once(':') {
        None if action == "*" => "*",
        Some((service, name)) if service.eq_ignore_ascii_case("s3") => name,
        _ => {
            return Err(malformed(&format!(
                "has an action that is not S3's: {action:?}"
            )));
        }
    };
    let pattern = name.to_ascii_lowercase();
    if ACTIONS
        .iter()
        .any(|known| fits(&pattern, &known.to_ascii_lowercase()))
    {
        return Ok(());
    }
    Err(malformed(&format!("has an unknown action: {action:?}")))
}

fn known_resource(resource: &str) -> S3Result<()> {
    if resource.contains("${") {
        return Err(not_simulated("variables"));
    }
    if resource == "*"
        || resource
            .strip_prefix(RESOURCE)
            .is_some_and(|name| !name.is_empty())
    {
        return Ok(());
    }
    Err(malformed(&format!(
        "has a resource that is not {RESOURCE}<bucket> or {RESOURCE}<bucket>/<key>: {resource:?}"
    )))
}

/// Whether a principal is everybody; otherwise it is the account.
fn everybody(principal: &Value) -> S3Result<bool> {
    let who = match principal {
        Value::String(_) => strings(principal, "Principal")?,
        Value::Object(kinds) if kinds.len() == 1 && kinds.contains_key("AWS") => {
            strings(&kinds["AWS"], "Principal")?
        }
        Value::Object(_) => return Err(not_simulated("principals other than AWS")),
        _ => {
            return Err(malformed(
                "has a Principal that is neither \"*\" nor {\"AWS\": …}",
            ));
        }
    };
    let account = format!("arn:aws:iam:::user/{OWNER}");
    if let Some(other) = who.iter().find(|who| **who != "*" && **who != account) {
        return Err(not_simulated(&format!(
            "the principal {other:?} (there is one account, {account:?})"
        )));
    }
    Ok(who.iter().any(|who| who == "*"))
}

/// The addresses a `Condition` names.
fn sources(condition: &Value) -> S3Result<Vec<(Vec<IpNet>, bool)>> {
    let operators = condition
        .as_object()
        .ok_or_else(|| malformed("has a Condition that is not an object"))?;
    let mut found = Vec::new();
    for (operator, tests) in operators {
        let inside = match operator.as_str() {
            "IpAddress" => true,
            "NotIpAddress" => false,
            other => return Err(not_simulated(&format!("the condition {other}"))),
        };
        let tests = tests
            .as_object()
            .ok_or_else(|| malformed("has a condition that is not an object"))?;
        for (key, value) in tests {
            if !key.eq_ignore_ascii_case("aws:SourceIp") {
                return Err(not_simulated(&format!("the condition key {key}")));
            }
            let nets = strings(value, key)?
                .iter()
                .map(|text| net(text))
                .collect::<S3Result<_>>()?;
            found.push((nets, inside));
        }
    }
    Ok(found)
}

/// A network or a single address.
fn net(text: &str) -> S3Result<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_invalid| address())
        .map_err(|_invalid| {
            malformed(&format!(
                "has a source that is not an address or a network: {text:?}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(statement: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        let ok = r#""Effect":"Allow","Principal":"*","Resource":"*""#;
        let cases = [
            (r#"{"Statement":[]}"#.to_owned(), "MalformedPolicy"),
            (
                r#"{"Version":"2025-04-29","Statement":[]}"#.to_owned(),
                "MalformedPolicy",
            ),
            ("[]".to_owned(), "MalformedPolicy"),
            (
                policy(r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#),
                "MalformedPolicy",
            ),
            (
                policy(&format!(r#"{{{ok},"Action":"s3:Fly"}}"#)),
                "MalformedPolicy",
            ),
            (
                policy(&format!(r#"{{{ok},"Action":"ec2:*"}}"#)),
                "MalformedPolicy",
            ),
            (
                policy(&format!(r#"{{{ok},"Action":[]}}"#)),
                "MalformedPolicy",
            ),
            (policy(&format!(r"{{{ok}}}")), "MalformedPolicy"),
            (
                policy(&format!(r#"{{{ok},"Action":"*","Also":1}}"#)),
                "MalformedPolicy",
            ),
            (
                policy(&format!(
                    r#"{{{ok},"Action":"*","Condition":{{"IpAddress":{{"aws:SourceIp":"here"}}}}}}"#
                )),
                "MalformedPolicy",
            ),
            (
                policy(&format!(
                    r#"{{{ok},"Action":"*","Condition":{{"StringLike":{{"s3:prefix":"a*"}}}}}}"#
                )),
                "NotImplemented",
            ),
            (
                policy(&format!(
                    r#"{{{ok},"Action":"*","Condition":{{"IpAddress":{{"aws:VpcSourceIp":"10.0.0.1"}}}}}}"#
                )),
                "NotImplemented",
            ),
            (
                policy(r#"{"Effect":"Deny","NotPrincipal":"*","Action":"s3:*","Resource":"*"}"#),
                "NotImplemented",
            ),
            (
                policy(
                    r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/other"},"Action":"s3:*","Resource":"*"}"#,
                ),
                "NotImplemented",
            ),
            (
                policy(
                    r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"}"#,
                ),
                "NotImplemented",
            ),
        ];
        for (text, code) in cases {
            let error = Policy::parse(&text).unwrap_err();
            assert_eq!(error.code().as_str(), code, "{text}: {error:?}");
        }
    }

    #[test]
    fn denials_beat_allowances_and_only_fitting_statements_count() {
        let text = policy(
            r#"{"Effect":"Allow","Principal":"*","Action":["s3:getobject","s3:List*"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]},
               {"Effect":"Deny","Principal":{"AWS":["*"]},"NotAction":"s3:ListBucket","Resource":"arn:aws:s3:::b/secret/*"},
               {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/sandbox"},"Action":"s3:PutObject","Resource":"*"},
               {"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","127.0.0.1"]}}}"#,
        );
        let policy = Policy::parse(&text).unwrap();
        let local: Option<IpAddr> = Some([127, 0, 0, 1].into());
        let cases = [
            ("s3:GetObject", "b/a", false, local, Verdict::Allow),
            ("s3:GetObject", "other/a", false, local, Verdict::Silent),
            ("s3:GetObject", "b/secret/a", true, local, Verdict::Deny),
            ("s3:ListBucket", "b", false, local, Verdict::Allow),
            ("s3:PutObject", "b/a", false, local, Verdict::Silent),
            ("s3:PutObject", "b/a", true, local, Verdict::Allow),
            (
                "s3:GetObject",
                "b/a",
                false,
                Some([192, 0, 2, 1].into()),
                Verdict::Deny,
            ),
            ("s3:GetObject", "b/a", false, None, Verdict::Deny),
        ];
        for (action, resource, signed, source, expected) in cases {
            let asked = Asked {
                action,
                resource,
                signed,
                source,
            };
            assert_eq!(policy.judge(&asked), expected, "{asked:?}");
        }
    }
}
