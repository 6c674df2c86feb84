//! Addresses: public ones that lead nowhere real, private ones inside their VPC.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

/// Public addresses come from the benchmark range of RFC 2544, so nothing real is ever addressed.
const PUBLIC_BASE: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Usable numbers: the /15 without the ends of every /24.
const PUBLIC_COUNT: u32 = 512 * 254;

/// Ranges DigitalOcean keeps for itself everywhere.
const RESERVED: [&str; 4] = [
    "10.229.0.0/16",
    "10.244.0.0/16",
    "10.245.0.0/16",
    "10.246.0.0/24",
];

/// Ranges it keeps for itself in one region.
const RESERVED_IN_REGION: [(&str, &str); 12] = [
    ("nyc1", "10.10.0.0/16"),
    ("sfo1", "10.12.0.0/16"),
    ("nyc2", "10.13.0.0/16"),
    ("ams2", "10.14.0.0/16"),
    ("sgp1", "10.15.0.0/16"),
    ("lon1", "10.16.0.0/16"),
    ("nyc3", "10.17.0.0/16"),
    ("ams3", "10.18.0.0/16"),
    ("fra1", "10.19.0.0/16"),
    ("tor1", "10.20.0.0/16"),
    ("blr1", "10.47.0.0/16"),
    ("syd1", "10.49.0.0/16"),
];

/// The `n`-th public address; after the last it starts again.
pub(crate) fn public_ipv4(n: u32) -> Ipv4Addr {
    let n = n % PUBLIC_COUNT;
    Ipv4Addr::from(PUBLIC_BASE + (n / 254) * 256 + n % 254 + 1)
}

/// The address of the gateway of a public address.
pub(crate) fn public_gateway(ip: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = ip.octets();
    Ipv4Addr::new(a, b, c, 254)
}

/// A droplet's IPv6 address, in the documentation range of RFC 3849.
pub(crate) fn public_ipv6(n: u64) -> Ipv6Addr {
    let base = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    Ipv6Addr::from(base | (u128::from(n & 0xffff_ffff) << 16))
}

/// The first address of `range` (after its gateway) that is not taken.
pub(crate) fn private_ipv4(range: Ipv4Net, taken: impl Fn(Ipv4Addr) -> bool) -> Option<Ipv4Addr> {
    range.hosts().skip(1).find(|ip| !taken(*ip))
}

/// Why a range cannot be a VPC's, if so.
pub(crate) fn refuse_range(range: Ipv4Net, region: &str) -> Option<String> {
    if !(16..=28).contains(&range.prefix_len()) {
        return Some(format!("The size of {range} must be between /16 and /28."));
    }
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    if !private
        .iter()
        .any(|net| parse(net).is_some_and(|net| net.contains(&range)))
    {
        return Some(format!(
            "{range} must be inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
        ));
    }
    let own = RESERVED_IN_REGION
        .iter()
        .filter(|(slug, _)| *slug == region)
        .map(|(_, net)| *net);
    RESERVED
        .into_iter()
        .chain(own)
        .find(|net| parse(net).is_some_and(|net| overlap(net, range)))
        .map(|net| format!("{range} overlaps {net}, which DigitalOcean reserves."))
}

/// A range for a VPC that did not ask for one: the first free /20 above 10.104.0.0.
pub(crate) fn free_range(taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    (0..1024_u32)
        .filter_map(|n| {
            let base = u32::from_be_bytes([10, 104, 0, 0]) + n * 4096;
            Ipv4Net::new(Ipv4Addr::from(base), 20).ok()
        })
        .find(|range| {
            refuse_range(*range, "").is_none() && !taken.iter().any(|t| overlap(*t, *range))
        })
}

/// Whether two ranges share an address.
pub(crate) fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

fn parse(text: &str) -> Option<Ipv4Net> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_are_distinct_and_never_leave_the_benchmark_range() {
        let range = net("198.18.0.0/15");
        assert_eq!(public_ipv4(0), Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(public_ipv4(253), Ipv4Addr::new(198, 18, 0, 254));
        assert_eq!(public_ipv4(254), Ipv4Addr::new(198, 18, 1, 1));
        assert!(range.contains(&public_ipv4(PUBLIC_COUNT - 1)));
        assert_eq!(public_ipv4(PUBLIC_COUNT), public_ipv4(0));
    }

    #[test]
    fn ranges_outside_the_rules_are_refused() {
        for bad in [
            "10.1.0.0/15",
            "10.1.0.0/29",
            "8.8.0.0/16",
            "10.244.1.0/24",
            "10.19.4.0/24",
        ] {
            assert!(refuse_range(net(bad), "fra1").is_some(), "{bad}");
        }
        for good in ["10.10.10.0/24", "192.168.4.0/28", "172.16.0.0/16"] {
            assert_eq!(refuse_range(net(good), "fra1"), None, "{good}");
        }
    }

    #[test]
    fn free_ranges_do_not_overlap_taken_ones() {
        let first = free_range(&[]).unwrap();
        assert_eq!(first, net("10.104.0.0/20"));
        assert_eq!(
            free_range(&[net("10.104.0.0/16")]).unwrap(),
            net("10.105.0.0/20")
        );
    }

    #[test]
    fn a_private_range_runs_out() {
        let range = net("10.0.0.0/30");
        assert_eq!(
            private_ipv4(range, |_| false),
            Some(Ipv4Addr::new(10, 0, 0, 2))
        );
        assert_eq!(private_ipv4(range, |_| true), None);
    }
}
