//! Names: of hosts, resources, buckets, tags, SQL objects, and SSH public keys.

use super::{FromText, Invalid, text_newtype};
use crate::code::Code;
use crate::suggest::shortened;

text_newtype!(
    /// A DNS label (RFC 1123): 1 to 63 lower-case letters, digits and inner hyphens.
    DnsLabel
);

impl DnsLabel {
    /// A name as a label: in lower case, with hyphens for all that is no letter or digit. One that
    /// holds none of these is `unnamed`.
    pub fn of(name: &str) -> Self {
        let label = if is_dns_label(name) {
            Some(name.to_owned())
        } else {
            slugged(name, 63)
        };
        Self(label.unwrap_or_else(|| "unnamed".to_owned()))
    }
}

impl FromText for DnsLabel {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if is_dns_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not a DNS label", shortened(text)),
            "The name becomes part of host names, tags and Kubernetes objects, which take 1 to 63 \
             lower-case letters, digits and hyphens, with a letter or digit at both ends.",
            remedy_for(text, slugged(text, 63).as_deref()),
        )
        .with_replacement(slugged(text, 63)))
    }

    fn stand_in() -> Self {
        Self("cluster".to_owned())
    }
}

fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn remedy_for(text: &str, replacement: Option<&str>) -> String {
    match replacement {
        Some(name) => format!("Use for example `{name}`."),
        None if text.is_empty() => "Give it a name.".to_owned(),
        None => "Use lower-case letters, digits and hyphens only.".to_owned(),
    }
}

/// The nearest name of at most `max` characters, when the text holds anything usable.
fn slugged(text: &str, max: usize) -> Option<String> {
    let mut slug = String::new();
    // A longer text is cut anyway: looking at twice the limit is enough.
    for c in text.chars().take(max * 2) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if !slug.ends_with('-') && !slug.is_empty() => slug.push('-'),
            _ => {}
        }
    }
    slug.truncate(max);
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty() && slug != text).then(|| slug.to_owned())
}

text_newtype!(
    /// A name DigitalOcean shows to people (VPC, load balancer, database cluster): letters,
    /// digits, hyphens and dots, 1 to 63 characters, a letter or digit at both ends.
    ResourceName
);

impl ResourceName {
    /// A cluster's name as a resource's name: every DNS label is one.
    pub(crate) fn of(name: &DnsLabel) -> Self {
        Self(name.0.clone())
    }

    /// `<name>-<suffix>`. It may be too long; a rule says so.
    pub(crate) fn derived(name: &DnsLabel, suffix: &str) -> Self {
        Self(format!("{name}-{suffix}"))
    }
}

impl FromText for ResourceName {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let ends_ok = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        let body_ok = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if ends_ok && body_ok && text.len() <= 63 {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not a resource name", shortened(text)),
            "DigitalOcean takes 1 to 63 letters, digits, hyphens and dots here, with a letter or \
             digit at both ends.",
            remedy_for(text, slugged(text, 63).as_deref()),
        )
        .with_replacement(slugged(text, 63)))
    }

    fn stand_in() -> Self {
        Self("cluster".to_owned())
    }
}

text_newtype!(
    /// A fully qualified host name such as `api.example.com`: at least two DNS labels.
    Hostname
);

impl FromText for Hostname {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let labels_ok = text.split('.').count() >= 2 && text.split('.').all(is_dns_label);
        // The last label of a name is never all digits: that would be an address.
        let last_ok = text
            .rsplit('.')
            .next()
            .is_some_and(|l| l.bytes().any(|b| !b.is_ascii_digit()));
        if labels_ok && last_ok && text.len() <= 253 {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not a host name", shortened(text)),
            "The API's certificate names it and clients resolve it, so it has to be a full DNS \
             name.",
            "Write it without scheme, port or trailing dot, for example `k8s.example.com`.",
        ))
    }

    fn stand_in() -> Self {
        Self("api.example.com".to_owned())
    }
}

text_newtype!(
    /// A Spaces bucket: 3 to 63 lower-case letters, digits and inner hyphens.
    BucketName
);

impl FromText for BucketName {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if is_dns_label(text) && text.len() >= 3 {
            return Ok(Self(text.to_owned()));
        }
        let replacement = slugged(text, 63).filter(|name| name.len() >= 3);
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not a bucket name", shortened(text)),
            "Spaces takes 3 to 63 lower-case letters, digits and hyphens, with a letter or digit \
             at both ends; the name is part of a host name.",
            match &replacement {
                Some(name) => format!("Use for example `{name}`."),
                None => "Use a longer name; bucket names are global, so prefix it with your \
                         organisation's."
                    .to_owned(),
            },
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self("bucket".to_owned())
    }
}

text_newtype!(
    /// A database or user name that needs no quoting in SQL: lower-case letters, digits and
    /// underscores, not starting with a digit, 1 to 63 characters.
    SqlName
);

impl SqlName {
    pub(crate) fn k3s() -> Self {
        Self("k3s".to_owned())
    }
}

impl FromText for SqlName {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let body_ok = text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let start_ok = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if body_ok && start_ok && text.len() <= 63 {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::NameInvalid,
            format!("`{}` is not a plain SQL name", shortened(text)),
            "K3s lower-cases the name in its connection string, so names that need quoting would \
             not be found again.",
            "Use lower-case letters, digits and underscores, for example `k3s`.",
        ))
    }

    fn stand_in() -> Self {
        Self("k3s".to_owned())
    }
}

text_newtype!(
    /// A DigitalOcean tag: 1 to 255 letters, digits, hyphens, underscores and colons.
    Tag
);

impl FromText for Tag {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let body_ok = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':'));
        if !body_ok || !(1..=255).contains(&text.len()) {
            return Err(Invalid::new(
                Code::NameInvalid,
                format!("`{}` is not a tag", shortened(text)),
                "DigitalOcean's tags are 1 to 255 letters, digits, hyphens, underscores and \
                 colons.",
                "Replace the other characters.",
            ));
        }
        if text.to_ascii_lowercase().starts_with("kplan:") {
            return Err(Invalid::new(
                Code::NameInvalid,
                format!("the tag `{}` is kplan's own", shortened(text)),
                "Tags that start with `kplan:` say which cluster owns a resource; one set by hand \
                 could make kplan adopt or delete the wrong thing.",
                "Choose another prefix.",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    fn stand_in() -> Self {
        Self("tag".to_owned())
    }
}

text_newtype!(
    /// One OpenSSH public key line: type, base64 body, optional comment.
    SshPublicKey
);

const SSH_KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

impl FromText for SshPublicKey {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let line = text.trim();
        if line.contains("PRIVATE KEY") {
            return Err(Invalid::new(
                Code::SecretLiteral,
                "a private key stands where a public key belongs",
                "The file is reviewed and kept in Git, so whatever it holds is not secret any \
                 more. The text is withheld from this report.",
                "Replace the key pair, and put the line from the `.pub` file here.",
            ));
        }
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let kind_ok = words
            .next()
            .is_some_and(|kind| SSH_KEY_TYPES.contains(&kind));
        let body_ok = words.next().is_some_and(|body| {
            body.len() >= 32
                && body
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        });
        if kind_ok && body_ok && !line.contains(['\n', '\r']) {
            return Ok(Self(line.to_owned()));
        }
        Err(Invalid::new(
            Code::SshKeyInvalid,
            "not an OpenSSH public key",
            "DigitalOcean takes one line: the key's type, its base64 body and a comment.",
            "Paste the line from the `.pub` file, for example `ssh-ed25519 AAAA… you@host`.",
        ))
    }

    fn stand_in() -> Self {
        Self(format!("ssh-ed25519 {}", "A".repeat(68)))
    }
}
