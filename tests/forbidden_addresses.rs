//! Which addresses are sent to, judged by a list that was written without a look at Tidings' own: `egress/forbidden.py`.

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use tidings::net::{Config, Guard};

/// Compares the two verdicts on this many addresses; in CI there is a Python, elsewhere there may be none.
fn compare(count: usize, seed: u32) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/egress/forbidden.py");
    let listed = Command::new("python3").arg(script).args([count.to_string(), seed.to_string()]).output();
    let Ok(listed) = listed else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("left out: the second opinion on forbidden addresses needs python3");
        return;
    };
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let guard = Guard::new(&Config::default());
    let (mut passed, mut judged_in_all, mut differing) = (0, 0, Vec::new());
    for line in String::from_utf8(listed.stdout).expect("text").lines() {
        let (verdict, address) = line.split_once(' ').expect("a verdict and an address");
        let judged = guard.check_address(address.parse::<IpAddr>().expect(address));
        judged_in_all += 1;
        passed += usize::from(judged.is_ok());
        if judged.is_ok() != (verdict == "+") {
            differing.push(format!("{line}: {judged:?}"));
        }
    }
    differing.truncate(20);
    assert!(differing.is_empty(), "seed {seed}; `+` may be sent to, say they:\n{}", differing.join("\n"));
    assert_eq!(judged_in_all, count);
    assert!((count / 4..count * 3 / 4).contains(&passed), "{passed} of {count} passed: too one-sided to mean much");
}

#[test]
fn a_list_of_other_hands_agrees_on_a_sample() {
    compare(40_000, 1);
}

/// Another million each time.
#[test]
#[ignore = "half a minute"]
fn a_list_of_other_hands_agrees_on_a_million_addresses() {
    compare(1_000_000, rand::random());
}
