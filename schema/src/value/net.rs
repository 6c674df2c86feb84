//! Networks in CIDR notation.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{FromText, Invalid};
use crate::code::Code;
use crate::suggest::shortened;

/// An IPv4 or IPv6 network; its host bits are zero. A single address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Reads a network, or a single address; nothing for what is neither.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }

    /// The network.
    pub fn net(&self) -> IpNet {
        self.0
    }

    /// Number of fixed leading bits.
    pub fn prefix_len(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether every address of the network is private by RFC 1918.
    pub fn is_private_v4(&self) -> bool {
        const PRIVATE: [([u8; 4], u8); 3] = [
            ([10, 0, 0, 0], 8),
            ([172, 16, 0, 0], 12),
            ([192, 168, 0, 0], 16),
        ];
        PRIVATE.iter().any(|(address, bits)| {
            IpNet::new(IpAddr::from(*address), *bits).is_ok_and(|net| net.contains(&self.0))
        })
    }

    /// Whether the two networks share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromText for Cidr {
    fn from_text(text: &str) -> Result<Self, Invalid> {
        let net = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) => net,
            (Err(_), Ok(address)) => IpNet::from(address),
            (Err(_), Err(_)) => {
                return Err(Invalid::new(
                    Code::CidrInvalid,
                    format!("`{}` is not a network in CIDR notation", shortened(text)),
                    "A network is an address and the number of its fixed bits.",
                    "Write it like `10.10.10.0/24`, or `2001:db8::/32` for IPv6.",
                ));
            }
        };
        let trunc = net.trunc();
        if trunc != net {
            return Err(Invalid::new(
                Code::CidrInvalid,
                format!("`{}` has host bits set", shortened(text)),
                "The bits behind the prefix have to be zero; with them set it is unclear whether \
                 a network or a single address is meant.",
                format!(
                    "Write `{trunc}` for the network, or `{}` for the address.",
                    net.addr()
                ),
            )
            .with_replacement(Some(trunc.to_string())));
        }
        Ok(Self(net))
    }

    fn stand_in() -> Self {
        Self(IpNet::V4(Ipv4Net::new_assert(
            Ipv4Addr::new(10, 10, 10, 0),
            24,
        )))
    }
}
