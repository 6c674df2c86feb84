//! `preflight::operator_address`: whether `[network] api_allow` lets in whoever runs kplan.
//!
//! What this was decided on. An apply that cannot reach the cluster's API waits for it in vain, with
//! everything else made, so it is worth knowing before. But behind a router nobody knows his own public
//! address without asking a third party on the internet for it, and kplan asks nobody but DigitalOcean,
//! whose API does not tell. So there are two honest ways:
//!
//! - `KPLAN_OPERATOR_ADDRESS`: somebody, or a CI runner's script, says it. Outside of `api_allow` it is
//!   an error.
//! - The address that this machine itself sends from, where that is a public one, as on a server. It is
//!   read from the routing table, by connecting a datagram socket to an address for documentation, which
//!   sends nothing. Traffic may still leave by another way, so it is a warning.
//!
//! A private address says nothing, and nothing is said then. The embedded cloud lets in whoever is on
//! the machine, so only what is declared counts there.

use super::sight::{Doors, Sight};
use super::{Finding, Severity};
use kplan_schema::value::Cidr;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// The variable's name.
const DECLARED: &str = "KPLAN_OPERATOR_ADDRESS";
/// TEST-NET-1 (RFC 5737): stands for the internet, and is nobody.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 6443);

/// Finds out where the operator comes from, as far as that can be known.
pub(super) fn find(doors: &mut Doors, embedded: bool) {
    doors.declared = std::env::var(DECLARED).ok().filter(|text| !text.is_empty());
    doors.own = if embedded { None } else { own() };
}

/// The address that datagrams to the internet would be sent from, where it is a public one.
fn own() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if is_public(address) => Some(IpAddr::V4(address)),
        _ => None,
    }
}

/// Whether an address is one that others on the internet see: none of IANA's special ones.
fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (18..20).contains(&b);
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240;
    !(special || shared || benchmark)
}

/// Whoever runs kplan may reach the API that it makes.
pub(super) fn reaches(sight: &Sight<'_>) -> Vec<Finding> {
    let doors = &sight.doors;
    let (Some(allowed), Some(step)) = (&doors.allowed, sight.steps().next()) else {
        return Vec::new();
    };
    let (severity, message) = match &doors.declared {
        Some(text) => match text.parse::<IpAddr>() {
            Ok(address) if is_in(allowed, address) => return Vec::new(),
            Ok(address) => (
                Severity::Error,
                format!(
                    "{address}, which {DECLARED} names, is outside of `api_allow`: the cluster's API \
                     would not let kplan in"
                ),
            ),
            Err(_) => (
                Severity::Warning,
                format!("{DECLARED} is `{text}`, which is no address"),
            ),
        },
        None => match doors.own {
            Some(address) if !is_in(allowed, address) => (
                Severity::Warning,
                format!(
                    "this machine's address, {address}, is outside of `api_allow`: the cluster's API \
                     would not let kplan in, unless its traffic leaves by another way"
                ),
            ),
            _ => return Vec::new(),
        },
    };
    let help = format!(
        "add the network you work from to `api_allow`, or run kplan from one that is in it; where that is \
         another address than this one, say so in {DECLARED}"
    );
    vec![Finding {
        severity,
        origin: doors.origin,
        ..sight.error(
            "preflight::operator_address",
            (step, "api_allow"),
            message,
            help,
        )
    }]
}

fn is_in(allowed: &[Cidr], address: IpAddr) -> bool {
    let one = Cidr::parse(&address.to_string());
    one.is_some_and(|one| allowed.iter().any(|cidr| cidr.overlaps(&one)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::testing::Rig;

    fn severity(
        allowed: Option<&str>,
        declared: Option<&str>,
        own: Option<&str>,
    ) -> Option<Severity> {
        let mut rig = Rig::default();
        rig.create("vpc.main", &[]);
        let mut sight = rig.sight();
        sight.doors.allowed = allowed.map(|text| vec![Cidr::parse(text).unwrap()]);
        sight.doors.declared = declared.map(str::to_owned);
        sight.doors.own = own.map(|text| text.parse().unwrap());
        let found = reaches(&sight);
        found.first().map(|finding| finding.severity)
    }

    #[test]
    fn what_is_declared_refuses_and_what_is_only_likely_warns() {
        let (office, home) = ("203.0.113.0/24", "198.51.100.7");
        assert_eq!(severity(Some(office), Some("203.0.113.9"), None), None);
        assert_eq!(
            severity(Some(office), Some(home), None),
            Some(Severity::Error)
        );
        assert_eq!(
            severity(Some(office), Some("office"), None),
            Some(Severity::Warning)
        );
        assert_eq!(
            severity(Some(office), None, Some(home)),
            Some(Severity::Warning)
        );
        assert_eq!(severity(Some(office), None, Some("203.0.113.9")), None);
        assert_eq!(
            severity(Some(office), Some("203.0.113.9"), Some(home)),
            None
        );
        assert_eq!(severity(Some(office), None, None), None);
        assert_eq!(severity(Some("::/0"), Some("2001:db8::1"), None), None);
        assert_eq!(severity(None, Some(home), None), None);
    }

    #[test]
    fn private_addresses_say_nothing() {
        for private in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.2",
            "100.64.0.1",
            "169.254.1.1",
            "127.0.0.1",
            "198.18.0.5",
            "0.0.0.0",
            "255.255.255.255",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "100.128.0.1", "198.20.0.1", "172.32.0.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
