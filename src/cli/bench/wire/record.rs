//! What a receiver tells the bench of each request that carried a token: 32 bytes.

use super::Token;

/// A request that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Record {
    /// What it carried.
    pub(in crate::cli) token: Token,
    /// Which of its tenant's webhooks it came to, from 0.
    pub(in crate::cli) webhook: u16,
    /// Whether it is answered 200.
    pub(in crate::cli) is_taken: bool,
    /// When its last byte was there, in nanoseconds of the shared clock.
    pub(in crate::cli) arrived_ns: u64,
}

impl Record {
    /// Bytes of a record.
    pub(in crate::cli) const LEN: usize = 32;

    /// As bytes.
    pub(in crate::cli) fn bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.token.run.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.token.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.token.sent_ns.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.arrived_ns.to_le_bytes());
        bytes[24..26].copy_from_slice(&self.webhook.to_le_bytes());
        bytes[26] = self.token.flow;
        bytes[27] = self.is_taken.into();
        bytes
    }

    /// From bytes.
    pub(in crate::cli) fn read(bytes: &[u8; Self::LEN]) -> Self {
        Self {
            token: Token {
                run: u32::from_le_bytes(part(bytes, 0)),
                flow: bytes[26],
                number: u32::from_le_bytes(part(bytes, 4)),
                sent_ns: u64::from_le_bytes(part(bytes, 8)),
            },
            webhook: u16::from_le_bytes(part(bytes, 24)),
            is_taken: bytes[27] != 0,
            arrived_ns: u64::from_le_bytes(part(bytes, 16)),
        }
    }
}

fn part<const N: usize>(bytes: &[u8; Record::LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let token = Token { run: 1, flow: 2, number: 3, sent_ns: 4 << 40 };
        let record = Record { token, webhook: 9_999, is_taken: true, arrived_ns: 5 << 40 };
        assert_eq!(Record::read(&record.bytes()), record);
    }
}
