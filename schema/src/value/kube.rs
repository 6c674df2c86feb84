//! Kubernetes labels and taints.

use super::{FromText, Invalid, text_newtype, word_enum};
use crate::code::Code;
use crate::suggest::shortened;

text_newtype!(
    /// A label's value: up to 63 letters, digits, `-`, `_` and `.`; may be empty.
    LabelValue
);

impl FromText for LabelValue {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::LabelInvalid,
            format!("`{}` is not a label value", shortened(text)),
            "Kubernetes takes up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit \
             at both ends; a node with another label does not register.",
            "Replace the other characters.",
        ))
    }

    fn stand_in() -> Self {
        Self(String::new())
    }
}

/// The name part of a qualified name.
fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Prefixes the kubelet may not set on its own node, besides those it owns.
const RESERVED: &[&str] = &["kubernetes.io", "k8s.io"];
/// Reserved prefixes a kubelet may set after all (Kubernetes' `NodeRestriction` plugin).
const KUBELET_OWN: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Where the taints of Kubernetes' own controllers are (Kubernetes' well-known taints).
const CONTROLLERS: &str = "node.kubernetes.io/";

/// Checks a label's or taint's key: `[<DNS name>/]<name>`.
pub(crate) fn label_key(text: &str) -> Result<String, Invalid> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let prefix_ok = prefix.is_none_or(|prefix| {
        prefix.len() <= 253
            && prefix.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    });
    if !prefix_ok || !is_name(name) {
        return Err(Invalid::new(
            Code::LabelInvalid,
            format!("`{}` is not a label key", shortened(text)),
            "Kubernetes takes up to 63 letters, digits, `-`, `_` and `.`, optionally behind a DNS \
             name and a slash; a node with another key does not register.",
            "Write it like `tier` or `example.com/tier`.",
        ));
    }
    let reserved = prefix.is_some_and(|prefix| {
        let under = |root: &str| {
            prefix == root
                || prefix
                    .strip_suffix(root)
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        RESERVED.iter().any(|root| under(root)) && !KUBELET_OWN.iter().any(|root| under(root))
    });
    if reserved {
        return Err(Invalid::new(
            Code::LabelInvalid,
            format!("the key `{}` is reserved by Kubernetes", shortened(text)),
            "A kubelet may not set keys under `kubernetes.io` or `k8s.io` on its own node, so the \
             node would not register.",
            "Use a prefix of your own, or none.",
        ));
    }
    Ok(text.to_owned())
}

word_enum!(
    /// What a taint does to pods that do not tolerate it.
    TaintEffect, "Kubernetes knows three effects of a taint." {
        /// New pods are not placed here.
        NoSchedule = "NoSchedule",
        /// New pods are placed elsewhere when possible.
        PreferNoSchedule = "PreferNoSchedule",
        /// Running pods are evicted, too.
        NoExecute = "NoExecute",
    }
);

/// A node taint, written `key=value:Effect` or `key:Effect`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Taint {
    /// The taint's key.
    pub key: String,
    /// The taint's value; may be empty.
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

impl std::fmt::Display for Taint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}:{}", self.key, self.effect)
        } else {
            write!(f, "{}={}:{}", self.key, self.value, self.effect)
        }
    }
}

impl FromText for Taint {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let Some((left, effect)) = text.rsplit_once(':') else {
            return Err(Invalid::new(
                Code::TaintInvalid,
                format!("`{}` is not a taint", shortened(text)),
                "A taint needs an effect behind a colon.",
                "Write it like `dedicated=database:NoSchedule`.",
            ));
        };
        let effect = TaintEffect::from_text(effect)?;
        let (key, value) = left.split_once('=').unwrap_or((left, ""));
        let key = label_key(key)?;
        if key.starts_with(CONTROLLERS) {
            return Err(Invalid::new(
                Code::TaintInvalid,
                format!(
                    "the taint `{}` is set by Kubernetes itself",
                    shortened(&key)
                ),
                "Taints under `node.kubernetes.io/` say what Kubernetes finds out about a node; its \
                 controllers remove what they did not find.",
                "Use a prefix of your own, or none.",
            ));
        }
        let value = LabelValue::from_text(value)?.0;
        Ok(Self { key, value, effect })
    }

    fn stand_in() -> Self {
        Self {
            key: "key".to_owned(),
            value: String::new(),
            effect: TaintEffect::NoSchedule,
        }
    }
}
