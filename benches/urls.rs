//! Whether a URL may be sent to: asked at registration, and of the address at every connection.

use std::net::IpAddr;

use divan::{Bencher, black_box};
use tidings::net::{Config, Guard, Target};

#[divan::bench(args = [
    "https://hooks.example.com/tidings?tenant=4711",
    "https://faß.example/übergabe",
    "https://203.0.114.7:8443/in",
    "https://[2606:4700::6810:84e5]/in",
    "https://127.1/in",
    "https://[::ffff:169.254.169.254]/latest/meta-data/",
    "https://user@example.com/",
])]
fn parse(bencher: Bencher, url: &str) {
    let guard = Guard::new(&Config::default());
    bencher.bench(|| Target::parse(black_box(url), false, &guard));
}

#[divan::bench(args = ["93.184.215.14", "10.1.2.3", "2606:4700::6810:84e5", "fe80::1"])]
fn check_address(bencher: Bencher, address: &str) {
    let (guard, address): (_, IpAddr) = (Guard::new(&Config::default()), address.parse().expect("an address"));
    bencher.bench(|| guard.check_address(black_box(address)));
}
