//! A DNS server that says what it is told to, another thing each time if need be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;

/// One answer to one question: names on the way, and the addresses at its end.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// CNAMEs that lead from the name to where the addresses are.
    pub chain: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

impl Answer {
    pub fn of(addresses: &[IpAddr]) -> Self {
        Self { chain: Vec::new(), addresses: addresses.to_vec() }
    }
}

/// Names with their answers, given one after the other and then from the first again. Any other name does not exist.
pub type Zone = HashMap<String, Vec<Answer>>;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// Answers questions at `address` until the runtime ends.
pub async fn start(address: SocketAddr, zone: Zone) {
    let socket = UdpSocket::bind(address).await.expect("a free port for DNS");
    tokio::spawn(async move {
        let mut asked: HashMap<(String, u16), usize> = HashMap::new();
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Some((name, kind, end)) = question(&buffer[..length]) else { continue };
            let answers = zone.get(&name).filter(|answers| !answers.is_empty());
            let turn = asked.entry((name.clone(), kind)).or_default();
            let answer = answers.map(|answers| &answers[*turn % answers.len()]);
            *turn += 1;
            let reply = reply(&buffer[..end], &name, kind, answer);
            let _ = socket.send_to(&reply, from).await;
        }
    });
}

/// The name in lower case, the type, and where the question ends.
fn question(message: &[u8]) -> Option<(String, u16, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
    Some((labels.join("."), kind, at + 4))
}

fn reply(question: &[u8], name: &str, kind: u16, answer: Option<&Answer>) -> Vec<u8> {
    let mut records = Vec::new();
    let mut owner = name.to_owned();
    if let Some(answer) = answer {
        for next in &answer.chain {
            records.push(record(&owner, CNAME, &encoded(next)));
            owner.clone_from(next);
        }
        for address in &answer.addresses {
            match address {
                IpAddr::V4(v4) if kind == A => records.push(record(&owner, A, &v4.octets())),
                IpAddr::V6(v6) if kind == AAAA => records.push(record(&owner, AAAA, &v6.octets())),
                _ => {}
            }
        }
    }
    let mut reply = question.to_vec();
    // An answer, recursion available; 3 says that there is no such name.
    reply[2..4].copy_from_slice(&[0x81, if answer.is_some() { 0x80 } else { 0x83 }]);
    let count = u16::try_from(records.len()).expect("few records");
    reply[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    reply.extend(records.concat());
    reply
}

/// Nobody may keep it: its time to live is 0.
fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("short data");
    [&encoded(owner), &kind.to_be_bytes()[..], &[0, 1, 0, 0, 0, 0], &length.to_be_bytes(), data].concat()
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a short label"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
