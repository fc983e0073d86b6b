//! Every network that is not a public unicast destination, as data.
//!
//! Two IANA registries are the main source, taken whole, also where they call a block "globally reachable": those blocks
//! hold anycast services (AS112, AMT, PCP), never a customer's receiver.
//! - [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and
//!   [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry) special-purpose addresses
//! - [multicast](https://www.rfc-editor.org/rfc/rfc5771) and
//!   [IPv6 address space](https://www.iana.org/assignments/ipv6-address-space)
//!
//! Beside them stand addresses that look public and are a cloud's internal service, and the one form of IPv4 inside IPv6
//! that is recognised by its end and not by its network (ISATAP). `tests/egress/forbidden.py` is the same list, written
//! independently; a test compares the two over a million addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A network that nothing is sent to, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forbidden {
    pub(super) network: IpNet,
    /// What the network is for, as a noun that fits "… is a … address", or "… is an …".
    pub(super) reason: &'static str,
    /// Who says so.
    pub(super) source: &'static str,
}

/// Special networks first, then the wide ones that catch what is left: the first match gives the reason.
const FORBIDDEN: &[Forbidden] = &[
    v4([0, 0, 0, 0], 8, "this-network", "RFC 791"),
    v4([10, 0, 0, 0], 8, "private", "RFC 1918"),
    v4([100, 100, 100, 200], 32, "metadata", "Alibaba Cloud"),
    v4([100, 64, 0, 0], 10, "carrier-grade NAT", "RFC 6598"),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122"),
    v4([169, 254, 169, 254], 32, "metadata", "AWS, Azure, Google Cloud and others"),
    v4([169, 254, 0, 0], 16, "link-local", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private", "RFC 1918"),
    v4([192, 0, 0, 192], 32, "metadata", "Oracle Cloud"),
    v4([192, 0, 0, 0], 24, "protocol-assignment", "RFC 6890"),
    v4([192, 0, 2, 0], 24, "documentation", "RFC 5737"),
    v4([192, 31, 196, 0], 24, "AS112 anycast", "RFC 7535"),
    v4([192, 52, 193, 0], 24, "AMT relay", "RFC 7450"),
    v4([192, 88, 99, 0], 24, "6to4 relay", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private", "RFC 1918"),
    v4([192, 175, 48, 0], 24, "AS112 anycast", "RFC 7534"),
    v4([198, 18, 0, 0], 15, "benchmark", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    v4([255, 255, 255, 255], 32, "broadcast", "RFC 919"),
    v4([240, 0, 0, 0], 4, "reserved", "RFC 1112"),
    // Public to look at, yet the platform's own services, reachable only from within it.
    v4([168, 63, 129, 16], 32, "metadata", "Azure"),
    v4([161, 26, 0, 0], 16, "cloud service", "IBM Cloud"),
    v4([166, 8, 0, 0], 14, "cloud service", "IBM Cloud"),
    v4([199, 36, 153, 4], 30, "cloud service", "Google Cloud"),
    v4([199, 36, 153, 8], 30, "cloud service", "Google Cloud"),
    // IPv4 inside IPv6 is refused in every form, whatever it embeds: a gateway on the way would unwrap it.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified", "RFC 4291"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback", "RFC 4291"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped", "RFC 4291"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "IPv4-compatible", "RFC 4291"),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32, "NAT64", "RFC 6052, RFC 8215"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 8, "reserved", "RFC 4291"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only", "RFC 6666"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo", "RFC 4380"),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmark", "RFC 5180"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol-assignment", "RFC 2928"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation", "RFC 3849"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4", "RFC 3056"),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "AS112 anycast", "RFC 7534"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation", "RFC 9637"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment-routing", "RFC 9602"),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, "metadata", "AWS"),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, "metadata", "Google Cloud"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private", "RFC 4193"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local", "RFC 4291"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local", "RFC 3879"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast", "RFC 4291"),
    // Global unicast is 2000::/3; these three are all the rest.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 3, "unallocated", "RFC 4291"),
    v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, "unallocated", "RFC 4291"),
    v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, "unallocated", "RFC 4291"),
];

/// An IPv4 address behind `0:5efe` or `200:5efe`, whatever network comes first.
const ISATAP: Forbidden = v6([0, 0, 0, 0, 0, 0x5efe, 0, 0], 96, "IPv4-carrying (ISATAP)", "RFC 5214");

/// The entry that an address falls under.
pub(super) fn find(address: IpAddr) -> Option<&'static Forbidden> {
    FORBIDDEN.iter().find(|forbidden| forbidden.network.contains(&address)).or_else(|| {
        let IpAddr::V6(address) = address else { return None };
        let [_, _, _, _, flags, mark, _, _] = address.segments();
        (flags & !0x0200 == 0 && mark == 0x5efe).then_some(&ISATAP)
    })
}

const fn v4(octets: [u8; 4], prefix: u8, reason: &'static str, source: &'static str) -> Forbidden {
    Forbidden { network: IpNet::new_assert(IpAddr::V4(Ipv4Addr::from_octets(octets)), prefix), reason, source }
}

const fn v6(segments: [u16; 8], prefix: u8, reason: &'static str, source: &'static str) -> Forbidden {
    Forbidden { network: IpNet::new_assert(IpAddr::V6(Ipv6Addr::from_segments(segments)), prefix), reason, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_written_with_its_first_address_and_shadows_none() {
        for (index, entry) in FORBIDDEN.iter().enumerate() {
            assert_eq!(entry.network, entry.network.trunc(), "{}", entry.network);
            let shadowed = FORBIDDEN[..index].iter().find(|earlier| earlier.network.contains(&entry.network));
            assert!(shadowed.is_none(), "{} never matches: {shadowed:?} comes first", entry.network);
        }
    }
}
