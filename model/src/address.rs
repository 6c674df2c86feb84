//! `Address`: the name kplan gives a resource, such as `droplet.servers[0]`. It is never a remote
//! name and never something a person typed into a remote system.

use crate::kind::Kind;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a resource stands in the configuration: kind, name, and an index where one block makes
/// several. Ordered by kind, then name, then index, so that listings and plans are stable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    kind: Kind,
    name: Text,
    index: Option<u32>,
}

impl Address {
    /// `kind.name`.
    pub fn new(kind: Kind, name: impl Into<Text>) -> Self {
        Self {
            kind,
            name: name.into(),
            index: None,
        }
    }

    /// `kind.name[index]`.
    pub fn indexed(kind: Kind, name: impl Into<Text>, index: u32) -> Self {
        Self {
            kind,
            name: name.into(),
            index: Some(index),
        }
    }

    /// Whether this, as somebody writes it, means that one: itself, or, without a number, every one of
    /// its kind and name.
    pub fn covers(&self, other: &Self) -> bool {
        self == other
            || (self.index.is_none() && self.kind == other.kind && self.name == other.name)
    }

    /// The kind before the dot.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The name between the dot and the bracket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number in brackets.
    pub fn index(&self) -> Option<u32> {
        self.index
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.name)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

/// The text is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// What was given.
    pub text: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an address: write KIND.NAME or KIND.NAME[NUMBER], such as droplet.servers[0]",
            self.text
        )
    }
}

impl std::error::Error for AddressError {}

fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || AddressError {
            text: text.to_owned(),
        };
        let (kind, rest) = text.split_once('.').ok_or_else(fail)?;
        let (name, index) = match rest.split_once('[') {
            None => (rest, None),
            Some((name, tail)) => {
                let digits = tail.strip_suffix(']').ok_or_else(fail)?;
                let index: u32 = digits.parse().map_err(|_| fail())?;
                if index.to_string() != digits {
                    return Err(fail());
                }
                (name, Some(index))
            }
        };
        if !is_word(kind) || !is_word(name) {
            return Err(fail());
        }
        Ok(Self {
            kind: Kind::from(Text::from(kind)),
            name: name.into(),
            index,
        })
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_the_design_writes() {
        for text in [
            "droplet.servers[0]",
            "vpc.main",
            "load_balancer.api",
            "k3s.cluster",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_not_an_address() {
        for text in [
            "",
            "vpc",
            "vpc.",
            ".main",
            "vpc.main[",
            "vpc.main[x]",
            "vpc.main[01]",
            "a b.c",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in ".{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string(), text);
            }
        }
    }
}
