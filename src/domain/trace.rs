//! Traces: which one something belongs to, as it is carried from a producer through the outbox to a receiver.

use std::fmt;

/// A place in a trace: what [W3C Trace Context](https://www.w3.org/TR/trace-context/) writes as `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not zero.
    pub trace_id: u128,
    /// The span that is continued; not zero.
    pub span_id: u64,
    /// Bit 0: somebody decided that this trace is recorded.
    pub flags: u8,
}

impl TraceParent {
    /// Bytes of the form that is stored.
    pub const BYTES: usize = 25;

    /// Reads the header's value. One of a later version is read as far as this version knows it; a malformed one is treated as absent, as
    /// the standard wants it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_at_checked(2)?;
        let version = lowercase_hex(version)?;
        let mut parts = rest.strip_prefix('-')?.splitn(4, '-');
        let mut part = |digits: usize| parts.next().filter(|part| part.len() == digits).and_then(lowercase_hex);
        let (trace_id, span_id, flags) = (part(32)?, part(16)?, part(2)?);
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        Self::checked(trace_id, u64::try_from(span_id).ok()?, u8::try_from(flags).ok()?)
    }

    /// Reads the form that is stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::BYTES] = bytes.try_into().ok()?;
        let (trace_id, rest) = bytes.split_first_chunk::<16>()?;
        let (span_id, flags) = rest.split_first_chunk::<8>()?;
        Self::checked(u128::from_be_bytes(*trace_id), u64::from_be_bytes(*span_id), *flags.first()?)
    }

    /// The form that is stored: trace, span and flags, one after the other.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.trace_id.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.span_id.to_be_bytes());
        bytes[24] = self.flags;
        bytes
    }

    /// Whether somebody decided that this trace is recorded.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }

    fn checked(trace_id: u128, span_id: u64, flags: u8) -> Option<Self> {
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, flags })
    }
}

/// The header's value.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags } = self;
        // Of the flags, only those of this version are passed on.
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{:02x}", flags & 3)
    }
}

fn lowercase_hex(text: &str) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn it_is_read_and_written_as_it_was() {
        let trace = TraceParent::parse(HEADER).expect("a traceparent");
        assert!(trace.is_sampled());
        assert_eq!(trace.to_string(), HEADER);
        assert_eq!(TraceParent::from_bytes(&trace.to_bytes()), Some(trace));
        let later = TraceParent::parse(&format!("01{}-what-comes-later", &HEADER[2..])).expect("a later version");
        assert_eq!(later, trace);
    }

    #[test]
    fn what_is_malformed_is_as_if_there_were_none() {
        for wrong in [
            "",
            "0",
            "é0-",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b70-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1+",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
        assert_eq!(TraceParent::from_bytes(&[1; 24]), None);
        assert_eq!(TraceParent::from_bytes(&[0; 25]), None);
    }
}
