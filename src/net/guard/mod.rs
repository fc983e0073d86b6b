//! Who may be sent to: one policy, asked at registration, before every request, and at every connection.

mod forbidden;
mod own;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use self::own::Own;
use super::config::Config;

/// The policy for destinations. Clones share it.
///
/// An address is refused if a network of `egress.deny` holds it, else passes if one of `egress.allow` does, else if it
/// is neither in a forbidden network nor one of this host's own. An IPv6 address is judged as itself and never as the
/// IPv4 address within it: `::ffff:127.0.0.1` is refused even where `127.0.0.0/8` is allowed, unless `::ffff:0:0/96` is
/// allowed too.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Policy>);

#[derive(Debug)]
struct Policy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    ports: Vec<u16>,
    own: Own,
}

/// Why nothing is sent to a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// The address is in a forbidden network.
    #[error(
        "{address} is {} {reason} address ({source_of_rule}): Tidings sends to public addresses, and to the networks in `egress.allow`",
        article(reason)
    )]
    Address {
        /// The address.
        address: IpAddr,
        /// What its network is for.
        reason: &'static str,
        /// The document that says so.
        source_of_rule: &'static str,
    },
    /// The operator does not want it.
    #[error("{address} is in {network}, a network that `egress.deny` lists")]
    Denied {
        /// The address.
        address: IpAddr,
        /// The network.
        network: IpNet,
    },
    /// The address is this host's.
    #[error("{address} is one of the sender's own addresses: Tidings sends there only if `egress.allow` lists it")]
    Own {
        /// The address.
        address: IpAddr,
    },
    /// The connection leads elsewhere.
    #[error("the connection to {dialled} leads to {peer}")]
    Diverted {
        /// Where it was meant to lead.
        dialled: SocketAddr,
        /// Where it leads.
        peer: SocketAddr,
    },
    /// The name means this host.
    #[error(
        "`{name}` means the sender's own host: Tidings sends there only if `egress.allow` lists a loopback network"
    )]
    LocalName {
        /// The name, as the URL has it.
        name: String,
    },
    /// The port is not one of those configured.
    #[error("port {port} is not one that `egress.ports` lists")]
    Port {
        /// The port.
        port: u16,
    },
}

impl Guard {
    /// The policy of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let Config { allow, deny, ports, .. } = config.clone();
        Self(Arc::new(Policy { allow, deny, ports, own: Own::default() }))
    }

    /// Judges an address that is about to be connected to.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Blocked> {
        if let Some(&network) = self.0.deny.iter().find(|network| network.contains(&address)) {
            return Err(Blocked::Denied { address, network });
        }
        if self.0.allow.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        if let Some(forbidden) = forbidden::find(address) {
            return Err(Blocked::Address { address, reason: forbidden.reason, source_of_rule: forbidden.source });
        }
        if self.0.own.has(address) { Err(Blocked::Own { address }) } else { Ok(()) }
    }

    /// Judges a connection that was made to `dialled`, before a byte is written to it: where it really leads.
    pub fn check_connection(&self, dialled: SocketAddr, local: SocketAddr, peer: SocketAddr) -> Result<(), Blocked> {
        if (peer.ip(), peer.port()) != (dialled.ip(), dialled.port()) {
            return Err(Blocked::Diverted { dialled, peer });
        }
        self.check_address(peer.ip())?;
        let allowed = self.0.allow.iter().any(|network| network.contains(&peer.ip()));
        if own::is_to_itself(local, peer) && !allowed {
            return Err(Blocked::Own { address: peer.ip() });
        }
        Ok(())
    }

    /// Judges a port.
    pub fn check_port(&self, port: u16) -> Result<(), Blocked> {
        let open = self.0.ports.is_empty() || self.0.ports.contains(&port);
        if open { Ok(()) } else { Err(Blocked::Port { port }) }
    }

    /// Judges a name before it is looked up: only those that mean this host by definition are refused here.
    pub fn check_name(&self, name: &str) -> Result<(), Blocked> {
        if is_local_name(name) && self.loopback().is_empty() {
            return Err(Blocked::LocalName { name: name.to_owned() });
        }
        Ok(())
    }

    /// The loopback addresses that are allowed: what `localhost` resolves to.
    pub(super) fn loopback(&self) -> Vec<IpAddr> {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        both.into_iter().filter(|&address| self.check_address(address).is_ok()).collect()
    }
}

/// "An IPv4-mapped address", and "a private" one.
fn article(reason: &str) -> &'static str {
    if reason.starts_with(['A', 'I', 'u']) { "an" } else { "a" }
}

/// Whether a name is `localhost` or below it ([RFC 6761, 6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)),
/// in any case, with or without the root's dot; `localhost.localdomain` is how many hosts files spell it.
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost") || last.eq_ignore_ascii_case("localdomain")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|network| network.parse().expect("a network")).collect()
    }

    fn guard(allow: &[&str]) -> Guard {
        Guard::new(&Config { allow: networks(allow), ..Config::default() })
    }

    fn passes(guard: &Guard, address: &str) -> bool {
        guard.check_address(address.parse().expect(address)).is_ok()
    }

    #[test]
    fn no_address_that_is_not_public_passes() {
        let strict = guard(&[]);
        let refused = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 100.100.100.200 127.0.0.1 \
            127.255.255.254 168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 \
            192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 \
            198.19.255.255 198.51.100.1 203.0.113.255 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
            :: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::808:808 \
            64:ff9b::7f00:1 64:ff9b:1::1 100::1 100:0:0:1::1 1fff::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 \
            2001:2::1 2001:10::1 2001:20::1 2001:1ff::1 2001:db8::1 2002:7f00:1:: 2002:808:808::1 2620:4f:8000::1 \
            3fff::1 3fff:fff::1 4000::1 5f00::1 8000::1 fc00::1 fd00:ec2::254 fd20:ce::254 fdff::1 fe80::1 fe80::a9fe:a9fe \
            febf::1 fec0::1 ff02::1 ff0e::1";
        for address in refused.split_ascii_whitespace() {
            assert!(!passes(&strict, address), "{address}");
        }
    }

    #[test]
    fn public_addresses_beside_them_pass() {
        let strict = guard(&[]);
        let public = "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 \
            168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.1 192.0.3.0 192.167.255.255 \
            192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255 \
            2001:200::1 2001:4860:4860::8888 2606:4700:4700::1111 2a00:1450::1 2003::1 2400::1 3ffe::1 2001:db9::1";
        for address in public.split_ascii_whitespace() {
            assert!(passes(&strict, address), "{address}");
        }
    }

    #[test]
    fn a_refusal_is_a_sentence() {
        for (address, told) in [
            ("10.0.0.1", "10.0.0.1 is a private address"),
            ("::ffff:8.8.8.8", "::ffff:8.8.8.8 is an IPv4-mapped address"),
            ("8000::1", "8000::1 is an unallocated address"),
        ] {
            let refused = guard(&[]).check_address(address.parse().expect(address)).expect_err(address).to_string();
            assert!(refused.starts_with(told), "{refused}");
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_names_and_no_disguise_of_it() {
        let dev = guard(&["127.0.0.0/8", "fd00::/8"]);
        assert!(passes(&dev, "127.0.0.1") && passes(&dev, "fd00:ec2::254"));
        for address in ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::1", "10.0.0.1"] {
            assert!(!passes(&dev, address), "{address}");
        }
        assert!(passes(&guard(&["::ffff:127.0.0.0/104"]), "::ffff:127.0.0.1"));
    }

    #[test]
    fn what_is_denied_is_refused_whatever_else_is_said() {
        let config = Config {
            allow: networks(&["10.0.0.0/8"]),
            deny: networks(&["10.1.0.0/16", "8.8.8.0/24"]),
            ..Config::default()
        };
        let guard = Guard::new(&config);
        assert!(passes(&guard, "10.2.0.1") && passes(&guard, "8.8.4.4"));
        for address in ["10.1.0.1", "8.8.8.8"] {
            let refused = guard.check_address(address.parse().expect(address)).expect_err(address);
            assert!(matches!(refused, Blocked::Denied { .. }) && refused.to_string().contains("`egress.deny`"));
        }
    }

    #[test]
    fn a_connection_must_lead_to_the_address_that_was_dialled_and_away_from_this_host() {
        let at = |text: &str| text.parse::<SocketAddr>().expect(text);
        let (here, there) = (at("192.0.2.9:50000"), at("8.8.8.8:443"));
        let strict = guard(&[]);
        assert_eq!(strict.check_connection(there, here, there), Ok(()));
        let elsewhere = strict.check_connection(there, here, at("8.8.4.4:443"));
        assert!(matches!(elsewhere, Err(Blocked::Diverted { .. })), "{elsewhere:?}");
        let private = at("10.0.0.1:443");
        assert!(matches!(strict.check_connection(private, here, private), Err(Blocked::Address { .. })));
        let itself = strict.check_connection(there, at("8.8.8.8:50000"), there);
        assert_eq!(itself, Err(Blocked::Own { address: there.ip() }));
        assert_eq!(guard(&["8.8.8.8/32"]).check_connection(there, at("8.8.8.8:50000"), there), Ok(()));
        assert_eq!(
            strict.check_address([127, 0, 0, 1].into()).map_err(|b| matches!(b, Blocked::Address { .. })),
            Err(true)
        );
    }

    #[test]
    fn names_of_this_host_follow_the_loopback_networks() {
        for name in ["localhost", "LOCALHOST.", "foo.LocalHost", "localhost.localdomain"] {
            assert!(matches!(guard(&[]).check_name(name), Err(Blocked::LocalName { .. })), "{name}");
            assert_eq!(guard(&["::1/128"]).check_name(name), Ok(()), "{name}");
        }
        for name in ["localhost.example.com", "mylocalhost", "example.com"] {
            assert_eq!(guard(&[]).check_name(name), Ok(()), "{name}");
        }
        assert_eq!(guard(&["127.0.0.0/8"]).loopback(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn ports_are_all_open_unless_some_are_listed() {
        assert_eq!(guard(&[]).check_port(8080), Ok(()));
        let web = Guard::new(&Config { ports: vec![443, 8443], ..Config::default() });
        assert_eq!(web.check_port(443), Ok(()));
        assert_eq!(web.check_port(22), Err(Blocked::Port { port: 22 }));
    }

    proptest! {
        /// The standard library knows fewer networks, and knows them independently.
        #[test]
        fn nothing_that_the_standard_library_calls_special_passes(v4: u32, v6: u128, embedded: u32) {
            let strict = guard(&[]);
            let v4 = Ipv4Addr::from(v4);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!special || strict.check_address(v4.into()).is_err(), "{v4}");

            let v6 = Ipv6Addr::from(v6);
            let special = v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unique_local()
                || v6.is_unicast_link_local() || v6.to_ipv4().is_some() || v6.segments()[0] >> 13 != 1;
            prop_assert!(!special || strict.check_address(v6.into()).is_err(), "{v6}");

            let embedded = Ipv4Addr::from(embedded);
            for disguise in [embedded.to_ipv6_mapped(), embedded.to_ipv6_compatible()] {
                prop_assert!(strict.check_address(disguise.into()).is_err(), "{disguise}");
            }
        }
    }
}
