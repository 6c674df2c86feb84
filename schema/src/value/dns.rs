//! DNS: domains, the names in them, and what a record of each type says.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{FromText, Hostname, Invalid, text_newtype, word_enum};
use crate::code::Code;
use crate::suggest::shortened;

/// Most characters of a full name (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;

text_newtype!(
    /// A domain such as `example.com`: at least two labels, without a dot at the end.
    Domain
);

impl FromText for Domain {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.contains('.') && text.len() <= MAX_NAME && text.split('.').all(is_host_label) {
            return Ok(Self(text.to_owned()));
        }
        let bare = text.trim_end_matches('.').to_ascii_lowercase();
        let replacement = (bare != text && Self::from_text(&bare).is_ok()).then_some(bare);
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not a domain", shortened(text)),
            "It is looked for among the domains of the DigitalOcean account, under the name it has \
             there.",
            "Write it in lower case, without a dot at the end, for example `example.com`.",
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self("example.com".to_owned())
    }
}

text_newtype!(
    /// The name of a record within its domain: `www`, `*.apps`, `_dmarc`; `@` for the domain.
    RecordName
);

impl RecordName {
    /// The full name, without a dot at the end.
    pub fn full(&self, domain: &Domain) -> String {
        match self.as_str() {
            "@" => domain.to_string(),
            name => format!("{name}.{domain}"),
        }
    }

    /// What a host name is called within a domain; `None` where it is in another one.
    pub fn within(host: &Hostname, domain: &Domain) -> Option<Self> {
        let rest = host.as_str().strip_suffix(domain.as_str())?;
        if rest.is_empty() {
            return Some(Self("@".to_owned()));
        }
        rest.strip_suffix('.').map(|name| Self(name.to_owned()))
    }
}

/// The label of a record that is given none, type and full name as one word: `a-www-example-com`,
/// `mx-example-com`, `a-wildcard-apps-example-com`.
pub fn record_label(kind: &str, name: &str, domain: &str) -> String {
    let name = name.replace('*', "wildcard");
    let text = match name.as_str() {
        "@" => format!("{kind}-{domain}"),
        name => format!("{kind}-{name}.{domain}"),
    };
    let text = text.to_ascii_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-")
}

impl FromText for RecordName {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let special = text == "@" || text == "*";
        let rest = text.strip_prefix("*.").unwrap_or(text);
        if special || (text.len() <= MAX_NAME && rest.split('.').all(is_label)) {
            return Ok(Self(text.to_owned()));
        }
        let lower = text.to_ascii_lowercase();
        let replacement = (lower != text && Self::from_text(&lower).is_ok()).then_some(lower);
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not the name of a record", shortened(text)),
            "Resolvers are asked for it: labels of 1 to 63 lower-case letters, digits, hyphens and \
             underscores with dots between them, and an asterisk at most in front.",
            "Write the name within the domain, such as `www` or `*.apps`; `@` is the domain \
             itself.",
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self("@".to_owned())
    }
}

word_enum!(
    /// What a record is about.
    RecordType, "kplan makes records of these types. A domain's SOA record is DigitalOcean's own; \
                 CAA records are made by hand." {
        /// An IPv4 address.
        A = "A",
        /// An IPv6 address.
        Aaaa = "AAAA",
        /// Another name for a host.
        Cname = "CNAME",
        /// A mail server.
        Mx = "MX",
        /// A name server of a part of the domain.
        Ns = "NS",
        /// A host that offers a service.
        Srv = "SRV",
        /// Text.
        Txt = "TXT",
    }
);

impl RecordType {
    /// Whether records of this type are put in order by a priority.
    pub(crate) const fn has_priority(self) -> bool {
        matches!(self, Self::Mx | Self::Srv)
    }

    /// Whether records of this type name a port and a weight.
    pub(crate) const fn has_port(self) -> bool {
        matches!(self, Self::Srv)
    }

    /// What a record of this type says, in one spelling: addresses as they are printed, host names
    /// in lower case and without a dot at the end.
    pub(crate) fn value(self, text: &str) -> Result<String, Invalid> {
        let (read, what, remedy) = match self {
            Self::A => (
                text.parse::<Ipv4Addr>().ok().map(|ip| ip.to_string()),
                "an IPv4 address",
                "Write for example `203.0.113.7`.",
            ),
            Self::Aaaa => (
                text.parse::<Ipv6Addr>().ok().map(|ip| ip.to_string()),
                "an IPv6 address",
                "Write for example `2001:db8::7`.",
            ),
            Self::Cname | Self::Mx | Self::Ns | Self::Srv => (
                host(text),
                "a host",
                "Write a full name, for example `www.example.com`, or `@` for the domain itself.",
            ),
            Self::Txt => (
                line(text),
                "one line of text",
                "Write the text as it is, without quotes around it.",
            ),
        };
        read.ok_or_else(|| {
            Invalid::new(
                Code::DomainRecordInvalid,
                format!("`{}` is not {what}", shortened(text)),
                format!("A record of type {self} says nothing else."),
                remedy,
            )
        })
    }
}

fn host(text: &str) -> Option<String> {
    if text == "@" {
        return Some(text.to_owned());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let full = name.contains('.') && name.len() <= MAX_NAME && name.split('.').all(is_label);
    // The last label of a name is never all digits: that would be an address.
    let last = name.rsplit('.').next()?;
    (full && !last.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

fn line(text: &str) -> Option<String> {
    let whole = !text.is_empty() && !text.chars().any(char::is_control);
    whole.then(|| text.to_owned())
}

/// A label of any name: of services too, which begin with an underscore.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A label of a host's name.
fn is_host_label(label: &str) -> bool {
    is_label(label) && !label.contains('_')
}
