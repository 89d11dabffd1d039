//! Addresses and networks, as `trusted_proxies` names them.

use std::net::IpAddr;

/// The addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    /// An address (`10.0.0.7`, `::1`), or a network in CIDR notation (`10.0.0.0/8`, `fd00::/8`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().ok()?;
        let whole = if base.is_ipv4() { 32 } else { 128 };
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let bits: u32 = match bits {
            Some(text) => Some(text).filter(digits)?.parse().ok()?,
            None => whole,
        };
        // An IPv4 address within IPv6 is the IPv4 address.
        let (base, bits) = match (base, base.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(base)) => (IpAddr::V4(base), bits.checked_sub(96)?),
            (base, _) => (base, bits),
        };
        let whole = if base.is_ipv4() { 32 } else { 128 };
        (bits <= whole).then_some(Self { base, bits })
    }

    /// Whether the network contains this canonical address.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                u128::from(u32::from(base) ^ u32::from(address)) << 96
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => u128::from(base) ^ u128::from(address),
            _ => return false,
        };
        differ.leading_zeros() >= self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("192.168.0.0/31", "192.168.0.1", "192.168.0.2"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "::/129",
            "a.b",
            "10.0.0.0/8/8",
            " 10.0.0.1",
            "::ffff:10.0.0.0/8",
        ] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }
}
