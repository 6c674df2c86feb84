//! Addresses of resources, as `[[import]]`, `[[moved]]` and `[[removed]]` name them, and what
//! `[drift] ignore` leaves out.

use super::{FromText, Invalid, text_newtype};
use crate::code::Code;
use crate::suggest::shortened;

text_newtype!(
    /// `kind.name`, or `kind.name[index]`: `droplet.servers[0]`, `vpc.main`.
    ResourceAddress
);

impl FromText for ResourceAddress {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if is_address(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::AddressInvalid,
            format!("`{}` is not the address of a resource", shortened(text)),
            "A resource is known by its kind and its name, and by its number where there are \
             several.",
            "Write it as `kplan plan` and `kplan state list` print it, such as \
             `droplet.servers[0]` or `vpc.main`.",
        ))
    }

    fn stand_in() -> Self {
        Self("droplet.stand-in".to_owned())
    }
}

/// What the `kplan-model` crate reads as an address.
fn is_address(text: &str) -> bool {
    let Some((kind, rest)) = text.split_once('.') else {
        return false;
    };
    let (name, index) = match rest.split_once('[') {
        None => (rest, None),
        Some((name, tail)) => match tail.strip_suffix(']') {
            Some(digits) => (name, Some(digits)),
            None => return false,
        },
    };
    let numbered = |digits: &str| {
        let number = digits.parse::<u32>();
        number.is_ok_and(|number| number.to_string() == digits)
    };
    is_word(kind) && is_word(name) && index.is_none_or(numbered)
}

fn is_word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(fits)
}

text_newtype!(
    /// What is no drift: `ADDRESS: FIELD`, where either may be `*`, and an address without a number
    /// means all of its name: `droplet.web: tags`, `*: monitoring`, `firewall.servers: *`.
    DriftRule
);

impl DriftRule {
    /// The address, or `*`.
    pub fn address(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("*", |(address, _)| address.trim())
    }

    /// The field, or `*`.
    pub fn field(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("*", |(_, field)| field.trim())
    }

    /// A rule as somebody wrote it, on a command line say.
    ///
    /// # Errors
    /// What is wrong with it and what to write, as one sentence each.
    pub fn read(text: &str) -> Result<Self, (String, String)> {
        Self::from_text(text).map_err(|invalid| (invalid.what, invalid.remedy))
    }
}

impl FromText for DriftRule {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let parts = text.split_once(':');
        let parts = parts.map(|(address, field)| (address.trim(), field.trim()));
        if let Some((address, field)) = parts
            && (address == "*" || is_address(address))
            && (field == "*" || is_word(field))
        {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::AddressInvalid,
            format!("`{}` does not say what is to be ignored", shortened(text)),
            "Drift is of a field of a resource.",
            "Write an address and a field with a colon between them, such as `droplet.web: tags`; \
             either may be `*`.",
        ))
    }

    fn stand_in() -> Self {
        Self("*: stand-in".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_model() {
        for good in ["vpc.main", "droplet.servers[0]", "k3s_node.a-b_c[12]"] {
            assert!(ResourceAddress::from_text(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "vpc",
            "vpc.",
            ".main",
            "vpc.main.x",
            "vpc.main[]",
            "vpc.main[01]",
            "vpc.main[0",
            "vpc.ma in",
        ] {
            assert!(ResourceAddress::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_has_an_address_and_a_field() {
        let rule = DriftRule::from_text("droplet.web:  tags").unwrap();
        assert_eq!((rule.address(), rule.field()), ("droplet.web", "tags"));
        assert!(DriftRule::from_text("*: *").is_ok());
        for bad in [
            "tags",
            "droplet.web",
            "droplet.web:",
            ": tags",
            "droplet: tags",
            "*: a b",
        ] {
            assert!(DriftRule::from_text(bad).is_err(), "{bad}");
        }
    }
}
