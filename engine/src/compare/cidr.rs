//! Network ranges by their meaning: host bits cleared, addresses in their shortest form.

use std::net::IpAddr;

/// `10.0.0.1/24` becomes `10.0.0.0/24`, `::1` becomes `::1/128`; `None` for what is no range.
pub(super) fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u32 = match prefix {
        Some(digits) => digits.parse().ok().filter(|length| *length <= width)?,
        None => width,
    };
    let host_bits = width - prefix;
    let network = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    };
    Some(format!("{network}/{prefix}"))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn clears_host_bits_and_spells_one_way() {
        for (text, expected) in [
            ("10.0.0.1/24", Some("10.0.0.0/24")),
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("1.2.3.4/0", Some("0.0.0.0/0")),
            ("2001:DB8:0:0::1/32", Some("2001:db8::/32")),
            ("::/0", Some("::/0")),
            ("10.0.0.0/33", None),
            ("k8s:worker", None),
        ] {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }
}
