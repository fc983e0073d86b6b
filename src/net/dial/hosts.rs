//! The hosts file, read at each look-up. The system's resolver would read it, too, but not for names with a final dot,
//! which is how names are looked up here.

use std::net::IpAddr;

const FILE: &str = if cfg!(windows) { r"C:\Windows\System32\drivers\etc\hosts" } else { "/etc/hosts" };

/// The addresses that the file has for a name; none where there is no such file.
pub(super) async fn addresses(name: &str) -> Vec<IpAddr> {
    let text = tokio::fs::read_to_string(FILE).await.unwrap_or_default();
    listed(&text, name)
}

fn listed(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let address = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_file_are_read_as_the_system_reads_them() {
        let text = "127.0.0.1 localhost\n\n# 1.1.1.1 far\n10.0.0.7\thooks Hooks.Internal # hooks.example\nfd00::7 hooks\nx y\n";
        for (name, expected) in [
            ("hooks", &["10.0.0.7", "fd00::7"][..]),
            ("hooks.internal.", &["10.0.0.7"]),
            ("hooks.example", &[]),
            ("far", &[]),
            ("y", &[]),
        ] {
            let found: Vec<_> = listed(text, name).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}
