//! What free-standing blocks are made of: references to other blocks, traffic, and DigitalOcean's
//! words for load balancers, databases, buckets and droplets.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{FromText, Invalid, text_newtype, word_enum};
use crate::code::Code;
use crate::suggest::shortened;

/// Another block of the file by its label, or something that is in no file by its id at
/// DigitalOcean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockRef {
    /// The label of a block.
    Label(String),
    /// A UUID.
    Id(String),
}

impl std::fmt::Display for BlockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Label(text) | Self::Id(text)) = self;
        f.write_str(text)
    }
}

impl FromText for BlockRef {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if is_uuid(text) {
            return Ok(Self::Id(text.to_owned()));
        }
        if is_label(text) {
            return Ok(Self::Label(text.to_owned()));
        }
        Err(Invalid::new(
            Code::ReferenceInvalid,
            format!("`{}` names no block", shortened(text)),
            "A block is named by its label, and what is in no file by its id at DigitalOcean.",
            "Write the label of a block, such as `main`, or a UUID.",
        ))
    }

    fn stand_in() -> Self {
        Self::Label("main".to_owned())
    }
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A droplet by its address in the file, or one that is in no file by its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropletRef {
    /// `droplet.web-1`, `droplet.servers[0]`; without an index, a pool's name means all of it.
    Address {
        /// A `[[droplet]]`'s label, `servers`, or an agent pool's name.
        name: String,
        /// The number in a pool.
        index: Option<u32>,
    },
    /// Its number at DigitalOcean.
    Id(u64),
}

impl std::fmt::Display for DropletRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Address { name, index: None } => write!(f, "droplet.{name}"),
            Self::Address {
                name,
                index: Some(index),
            } => write!(f, "droplet.{name}[{index}]"),
        }
    }
}

impl FromText for DropletRef {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        read_droplet(text).ok_or_else(|| {
            let replacement = is_label(text).then(|| format!("droplet.{text}"));
            Invalid::new(
                Code::ReferenceInvalid,
                format!("`{}` names no droplet", shortened(text)),
                "A droplet is named by its address, a pool without the number for all of it, and \
                 a droplet that is in no file by its id at DigitalOcean.",
                "Write it like `droplet.web-1`, `droplet.servers[0]`, `droplet.workers` or `12345678`.",
            )
            .with_replacement(replacement)
        })
    }

    fn stand_in() -> Self {
        Self::Id(1)
    }
}

fn read_droplet(text: &str) -> Option<DropletRef> {
    let Some(rest) = text.strip_prefix("droplet.") else {
        let id = text
            .parse()
            .ok()
            .filter(|id: &u64| id.to_string() == text)?;
        return Some(DropletRef::Id(id));
    };
    let (name, index) = match rest.split_once('[') {
        None => (rest, None),
        Some((name, tail)) => {
            let digits = tail.strip_suffix(']')?;
            let index: u32 = digits.parse().ok()?;
            (index.to_string() == digits).then_some((name, Some(index)))?
        }
    };
    is_label(name).then(|| DropletRef::Address {
        name: name.to_owned(),
        index,
    })
}

text_newtype!(
    /// Ports of a firewall's rule: `443`, `8000-9000` or `all`.
    PortRange
);

impl FromText for PortRange {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let valid = match text.split_once('-') {
            _ if text == "all" => true,
            None => port(text).is_some(),
            Some((first, last)) => port(first).zip(port(last)).is_some_and(|(a, b)| a <= b),
        };
        if valid {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::FirewallRule,
            format!("`{}` is no range of ports", shortened(text)),
            "DigitalOcean takes one port, two with a hyphen between them, or all.",
            "Write it like `\"443\"`, `\"8000-9000\"` or `\"all\"`.",
        ))
    }

    fn stand_in() -> Self {
        Self("all".to_owned())
    }
}

text_newtype!(
    /// An address or a network as it is written: DigitalOcean keeps the spelling.
    AddressRange
);

impl FromText for AddressRange {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::CidrInvalid,
            format!("`{}` is neither an address nor a network", shortened(text)),
            "Traffic is told apart by addresses and networks in CIDR notation; names are not \
             looked up.",
            "Write it like `203.0.113.7`, `10.10.10.0/24` or `::/0`.",
        ))
    }

    fn stand_in() -> Self {
        Self("0.0.0.0/0".to_owned())
    }
}

text_newtype!(
    /// Who may connect to a load balancer: `ip:203.0.113.5` or `cidr:203.0.113.0/24`.
    BalancerSource
);

impl FromText for BalancerSource {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let valid = match text.split_once(':') {
            Some(("ip", address)) => address.parse::<IpAddr>().is_ok(),
            Some(("cidr", network)) => network.parse::<IpNet>().is_ok(),
            _ => false,
        };
        if valid {
            return Ok(Self(text.to_owned()));
        }
        let replacement = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
            (Ok(address), _) => Some(format!("ip:{address}")),
            (_, Ok(network)) => Some(format!("cidr:{network}")),
            _ => None,
        };
        Err(Invalid::new(
            Code::CidrInvalid,
            format!("`{}` does not say who may connect", shortened(text)),
            "A load balancer's firewall takes addresses and networks, and is told which of the two \
             it is.",
            "Write it like `ip:203.0.113.5` or `cidr:203.0.113.0/24`.",
        )
        .with_replacement(replacement))
    }

    fn stand_in() -> Self {
        Self("cidr:0.0.0.0/0".to_owned())
    }
}

text_newtype!(
    /// What cloud-init runs at a droplet's first boot; at most 64 KiB.
    UserData
);

/// DigitalOcean takes no more.
const MAX_USER_DATA: usize = 64 << 10;

impl FromText for UserData {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        if (1..=MAX_USER_DATA).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(
            Code::TextInvalid,
            format!("`user_data` has {} bytes", text.len()),
            "DigitalOcean takes 1 to 65536 bytes.",
            "Let it fetch what is larger; leave the key out where nothing is to be run.",
        ))
    }

    fn stand_in() -> Self {
        Self("#cloud-config".to_owned())
    }
}

word_enum!(
    /// What a firewall's rule is about.
    FirewallProtocol, "DigitalOcean's firewalls know three protocols." {
        /// TCP
        Tcp = "tcp",
        /// UDP
        Udp = "udp",
        /// ICMP, which has no ports
        Icmp = "icmp",
    }
);

word_enum!(
    /// What clients speak to a load balancer.
    EntryProtocol, "DigitalOcean's load balancers know these." {
        /// HTTP
        Http = "http",
        /// HTTPS
        Https = "https",
        /// HTTP/2
        Http2 = "http2",
        /// HTTP/3
        Http3 = "http3",
        /// TCP
        Tcp = "tcp",
        /// UDP
        Udp = "udp",
    }
);

word_enum!(
    /// What a load balancer speaks to droplets.
    TargetProtocol, "DigitalOcean's load balancers know these." {
        /// HTTP
        Http = "http",
        /// HTTPS
        Https = "https",
        /// HTTP/2
        Http2 = "http2",
        /// TCP
        Tcp = "tcp",
        /// UDP
        Udp = "udp",
    }
);

word_enum!(
    /// How a load balancer checks droplets.
    CheckProtocol, "DigitalOcean's load balancers check by one of these." {
        /// HTTP
        Http = "http",
        /// HTTPS
        Https = "https",
        /// TCP
        Tcp = "tcp",
    }
);

word_enum!(
    /// Engines of managed databases, as DigitalOcean's API names them.
    DatabaseEngine, "DigitalOcean manages databases of these engines." {
        /// `PostgreSQL`
        Postgres = "pg",
        /// `MySQL`
        Mysql = "mysql",
        /// Valkey
        Valkey = "valkey",
        /// Redis, which DigitalOcean no longer sells
        Redis = "redis",
        /// `MongoDB`
        Mongodb = "mongodb",
        /// Kafka
        Kafka = "kafka",
        /// `OpenSearch`
        Opensearch = "opensearch",
    }
);

word_enum!(
    /// What a trusted source of a database is.
    DatabaseRuleType, "DigitalOcean tells trusted sources apart by these." {
        /// Every droplet with a tag
        Tag = "tag",
        /// A droplet
        Droplet = "droplet",
        /// An address or a network
        IpAddr = "ip_addr",
        /// A cluster of DigitalOcean's own Kubernetes
        K8s = "k8s",
        /// An app of the App Platform
        App = "app",
    }
);

word_enum!(
    /// Who may read a bucket's objects.
    BucketAcl, "Spaces knows two." {
        /// Whoever has a key
        Private = "private",
        /// Everybody
        PublicRead = "public-read",
    }
);

word_enum!(
    /// Whether a droplet that is found off is powered on.
    Power, "A droplet is kept on, or left as it is." {
        /// It is powered on
        On = "on",
        /// It is left alone
        Any = "any",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<T: FromText + std::fmt::Display>(text: &str) -> Option<String> {
        T::from_text(text).ok().map(|value| value.to_string())
    }

    #[test]
    fn droplets_are_named_by_address_or_number() {
        for good in [
            "droplet.web-1",
            "droplet.servers[0]",
            "droplet.workers",
            "12345678",
        ] {
            assert_eq!(reads::<DropletRef>(good).as_deref(), Some(good));
        }
        for bad in [
            "web-1",
            "droplet.",
            "droplet.Web",
            "droplet.a[x]",
            "droplet.a[00]",
            "droplet.a[0",
            "012",
            "volume.data",
            "",
        ] {
            assert_eq!(reads::<DropletRef>(bad), None, "{bad}");
        }
        let near = DropletRef::from_text("web-1").unwrap_err().replacement;
        assert_eq!(near.as_deref(), Some("droplet.web-1"));
    }

    #[test]
    fn a_uuid_is_an_id_and_all_else_a_label() {
        let id = "5a4981aa-9653-4bd1-bef5-d6bff52042e4";
        assert_eq!(BlockRef::from_text(id), Ok(BlockRef::Id(id.to_owned())));
        let label = BlockRef::from_text("main");
        assert_eq!(label, Ok(BlockRef::Label("main".to_owned())));
        assert!(BlockRef::from_text("vpc.main").is_err());
    }

    #[test]
    fn ports_and_addresses_keep_their_spelling() {
        for good in ["443", "8000-9000", "all"] {
            assert_eq!(reads::<PortRange>(good).as_deref(), Some(good));
        }
        for bad in ["0", "65536", "9000-8000", "80,443", ""] {
            assert_eq!(reads::<PortRange>(bad), None, "{bad}");
        }
        for good in ["203.0.113.7", "10.0.0.1/24", "::/0"] {
            assert_eq!(reads::<AddressRange>(good).as_deref(), Some(good));
        }
        assert_eq!(reads::<AddressRange>("example.com"), None);
        let near = BalancerSource::from_text("203.0.113.0/24").unwrap_err();
        assert_eq!(near.replacement.as_deref(), Some("cidr:203.0.113.0/24"));
        assert!(reads::<BalancerSource>("ip:203.0.113.5").is_some());
        assert!(reads::<BalancerSource>("cidr:203.0.113.5").is_none());
    }
}
