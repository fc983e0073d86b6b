//! URL intake: what is refused and why, what is accepted and in which form.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::net::Config;
use crate::net::guard::{Blocked, Guard};
use crate::net::target::{HostKind, Target};
use crate::net::url_error::UrlError;

fn strict() -> Guard {
    Guard::new(&Config::default())
}

fn parse(text: &str) -> Result<Target, UrlError> {
    Target::parse(text, true, &strict())
}

fn refusal(text: &str) -> UrlError {
    parse(text).map(|target| target.as_str().to_owned()).expect_err(text)
}

#[test]
fn canonical_forms() {
    for (written, stored) in [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/Hook?a=1&b=%C3%A9'", "https://example.com/Hook?a=1&b=%C3%A9%27"),
        ("http://example.com:80/", "http://example.com/"),
        ("http://example.com:8080?x", "http://example.com:8080/?x"),
        ("https://example.com./", "https://example.com./"),
        ("https://faß.de/ü/%2F;p,q", "https://xn--fa-hia.de/%C3%BC/%2F;p,q"),
        ("https://under_score.example/", "https://under_score.example/"),
        ("https://8.8.8.8:65535/", "https://8.8.8.8:65535/"),
        ("https://[2606:4700:0:0::1111]/", "https://[2606:4700::1111]/"),
        ("https://example.com/a//b/...?/../", "https://example.com/a//b/...?/../"),
    ] {
        assert_eq!(parse(written).expect(written).as_str(), stored);
    }
}

#[test]
fn what_needs_repair_is_refused() {
    let long_label = format!("https://{}.com/", "a".repeat(64));
    let long_name = format!("https://{}com/", "abcdefg.".repeat(32));
    for (written, why) in [
        ("", UrlError::Scheme { http_allowed: true }),
        ("/hook", UrlError::Scheme { http_allowed: true }),
        ("example.com/hook", UrlError::Scheme { http_allowed: true }),
        ("//example.com/", UrlError::Scheme { http_allowed: true }),
        ("https:example.com", UrlError::Scheme { http_allowed: true }),
        ("https:/example.com", UrlError::Scheme { http_allowed: true }),
        ("ftp://example.com/", UrlError::Scheme { http_allowed: true }),
        ("file:///etc/passwd", UrlError::Scheme { http_allowed: true }),
        ("javascript://example.com/%0aalert(1)", UrlError::Scheme { http_allowed: true }),
        ("https://", UrlError::NoHost),
        ("https:///example.com/", UrlError::NoHost),
        ("https://:443/", UrlError::NoHost),
        ("https://?x", UrlError::NoHost),
        (" https://example.com/", UrlError::Character(' ')),
        ("https://example.com/\u{a0}", UrlError::Character('\u{a0}')),
        ("https://exa\tmple.com/", UrlError::Character('\t')),
        ("https://example.com/\r\nX: y", UrlError::Character('\r')),
        ("https://example.com\\@evil.example/", UrlError::Character('\\')),
        ("https://example.com/a b", UrlError::Character(' ')),
        ("https://example.com/{id}", UrlError::Character('{')),
        ("https://example.com/\0", UrlError::Character('\0')),
        ("https://user:pass@example.com/", UrlError::UserInfo),
        ("https://@example.com/", UrlError::UserInfo),
        ("https://example.com/#part", UrlError::Fragment),
        ("https://example.com/#", UrlError::Fragment),
        ("https://example.com:/", UrlError::Port),
        ("https://example.com:0/", UrlError::Port),
        ("https://example.com:0443/", UrlError::Port),
        ("https://example.com:65536/", UrlError::Port),
        ("https://example.com:+80/", UrlError::Port),
        ("https://a:1:2/", UrlError::Port),
        ("https://[::1/", UrlError::Ipv6),
        ("https://[1.2.3.4]/", UrlError::Ipv6),
        ("https://[]/", UrlError::Ipv6),
        ("https://1.2.3.256/", UrlError::OddAddress),
        ("https://a]b/", UrlError::Host),
        ("https://xn--a/", UrlError::Host),
        ("https://a..b/", UrlError::Host),
        ("https://.example.com/", UrlError::Host),
        ("https://example.com../", UrlError::Host),
        ("https://-a.com/", UrlError::Host),
        ("https://a$b.com/", UrlError::Host),
        ("https://ex%61mple.com/", UrlError::Host),
        (&long_label, UrlError::Host),
        (&long_name, UrlError::Host),
        ("https://example.com/%zz", UrlError::Percent),
        ("https://example.com/?%a", UrlError::Percent),
        ("https://example.com/a/../b", UrlError::DotSegment),
        ("https://example.com/%2E%2e/b", UrlError::DotSegment),
        ("https://example.com/.", UrlError::DotSegment),
    ] {
        assert_eq!(refusal(written), why, "{written:?}");
    }
}

#[test]
fn no_spelling_of_a_forbidden_address_passes() {
    for odd in [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "0",
        "1.2.3",
        "0x8.0x8.0x8.0x8",
        "134744072",
    ] {
        assert_eq!(refusal(&format!("http://{odd}/")), UrlError::OddAddress, "{odd}");
    }
    for literal in [
        "127.0.0.1",
        "127.0.0.1:8080",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "168.63.129.16",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7f00:1]",
        "[0:0:0:0:0:ffff:8.8.8.8]",
        "[64:ff9b::8.8.8.8]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[2001:db8::1]",
        "[ff02::1]",
    ] {
        let why = refusal(&format!("http://{literal}/"));
        assert!(matches!(why, UrlError::Blocked(Blocked::Address { .. })), "{literal}: {why}");
        assert_eq!(why.code(), "blocked_address");
    }
    for zone in ["[fe80::1%eth0]", "[fe80::1%25eth0]"] {
        assert_eq!(refusal(&format!("http://{zone}/")), UrlError::Zone);
    }
    for local in ["localhost", "LOCALHOST", "localhost.", "foo.localhost", "ｌocalhost", "ⓛocalhost:9"] {
        assert!(
            matches!(refusal(&format!("http://{local}/")), UrlError::Blocked(Blocked::LocalName { .. })),
            "{local}"
        );
    }
}

#[test]
fn the_scheme_and_the_port_follow_the_tenant_and_the_policy() {
    assert_eq!(Target::parse("http://example.com/", false, &strict()), Err(UrlError::Http));
    assert_eq!(
        Target::parse("ftp://example.com/", false, &strict()).expect_err("ftp").to_string(),
        "the URL must be absolute and start with `https://`"
    );
    let web = Guard::new(&Config { ports: vec![443], ..Config::default() });
    assert!(Target::parse("https://example.com/", false, &web).is_ok());
    assert_eq!(
        Target::parse("https://example.com:22/", false, &web),
        Err(UrlError::Blocked(Blocked::Port { port: 22 }))
    );
}

#[test]
fn length_is_counted_in_characters_and_in_the_canonical_form() {
    let with = |filling: &str, count: usize| format!("https://example.com/{}", filling.repeat(count));
    assert!(parse(&with("a", 2_028)).is_ok());
    assert_eq!(refusal(&with("a", 2_029)), UrlError::TooLong);
    assert_eq!(refusal(&with("é", 1_000)), UrlError::TooLong, "six bytes each once encoded");
}

#[test]
fn the_kind_of_host_is_told_and_debug_output_hides_the_path() {
    let target = parse("https://8.8.8.8/hook?token=secret").expect("a target");
    assert_eq!(target.host_kind(), HostKind::Address([8, 8, 8, 8].into()));
    assert_eq!(format!("{target:?}"), "Target(https://8.8.8.8:443/…)");
    let named = parse("http://example.com").expect("a target");
    assert_eq!((named.host_kind(), named.port()), (HostKind::Name("example.com"), 80));
}

proptest! {
    #[test]
    fn a_stored_url_is_read_back_unchanged(
        host in "[a-zäß0-9_]{1,9}(\\.[a-zæ0-9]{1,9}){0,2}",
        tail in "(:[1-9][0-9]{0,3})?(/[a-z%é.~'!:@]{0,6}){0,3}(\\?[a-z%ü=&/?']{0,9})?",
    ) {
        if let Ok(target) = parse(&format!("https://{host}{tail}")) {
            prop_assert_eq!(parse(target.as_str()), Ok(target));
        }
    }

    /// Every spelling of an IPv4 address that some resolver or parser understands.
    #[test]
    fn no_spelling_of_any_forbidden_address_passes(
        network in prop::sample::select(vec!["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/8", "224.0.0.0/4"]),
        host: u32,
        (scheme, port, upper) in ("https?", "(:[1-9][0-9]{0,3})?", any::<bool>()),
    ) {
        let network: ipnet::Ipv4Net = network.parse().expect("a network");
        let address = u32::from(network.network()) | (host & u32::from(network.hostmask()));
        let [a, b, c, d] = address.to_be_bytes();
        let dotted = std::net::Ipv4Addr::from(address).to_string();
        let low = address & 0xffff;
        let wide = |text: &str| -> String {
            text.chars().map(|c| c.to_digit(10).and_then(|n| char::from_u32(0xff10 + n)).unwrap_or(c)).collect()
        };
        let escaped = dotted.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let (six, hex) = (format!("{:x}:{low:x}", address >> 16), |n: u8| format!("0x{n:x}"));
        for spelling in [
            dotted.clone(), format!("{dotted}."), format!("{address}"), format!("{address:#x}"), format!("0{address:o}"),
            format!("{a}.{b}.{low}"), format!("{a}.{}", address & 0xff_ffff), format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{}.{}.{}.{}", hex(a), hex(b), hex(c), hex(d)), format!("{a:03}.{b:03}.{c:03}.{d:03}"),
            format!("{a}.{b}.{c}.{}", hex(d)), wide(&dotted), dotted.replace('.', "。"), dotted.replace('.', "．"), escaped,
            format!("[::ffff:{dotted}]"), format!("[::ffff:{six}]"), format!("[::{six}]"), format!("[64:ff9b::{six}]"),
            format!("[2002:{six}::]"), format!("[::ffff:0:{six}]"), format!("user@{dotted}"), format!("example.com@{dotted}"),
            format!("{dotted}\\@example.com"), format!("{dotted}%00.example.com"),
        ] {
            let spelling = if upper { spelling.to_uppercase() } else { spelling };
            let url = format!("{scheme}://{spelling}{port}/");
            prop_assert!(Target::parse(&url, true, &strict()).is_err(), "{url}");
        }
    }

    /// Two parsers that know nothing of each other see the same host, and the canonical form is a form of its own.
    #[test]
    fn what_passes_leads_to_one_host(text in "https?://[a-zA-Z0-9.:@%_\\[\\]äß０-９-]{1,24}(/[\\PC]{0,8})?(\\?[\\PC]{0,6})?") {
        let Ok(target) = parse(&text) else { return Ok(()) };
        let uri: hyper::Uri = target.as_str().parse().expect("a URI");
        let host = match target.host_kind() {
            HostKind::Name(name) => name.to_owned(),
            HostKind::Address(IpAddr::V6(address)) => format!("[{address}]"),
            HostKind::Address(address) => address.to_string(),
        };
        prop_assert_eq!(uri.host(), Some(host.as_str()), "{}", text);
        let shown = target.as_str();
        prop_assert!(shown.is_ascii() && !shown.contains(['#', '\\', ' ']), "{shown}");
        prop_assert!(shown.split('/').nth(2).is_some_and(|authority| !authority.contains('@')), "{shown}");
        prop_assert_eq!(uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 }), target.port());
        prop_assert_eq!(parse(target.as_str()), Ok(target));
    }

    #[test]
    fn no_text_panics(text in "(https?://)?[\\PC\\s\\[\\]:@%.]{0,24}") {
        let _ = parse(&text);
    }
}
