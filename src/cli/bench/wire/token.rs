//! What an event's data carries through the service: which event it is, and when it was sent. A text of fixed width,
//! so that a prepared request is patched in place.

/// `tb:RRRRRRRR:FF:NNNNNNNN:TTTTTTTTTTTTTTTT`, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Token {
    /// Which trial sent it: what arrives late belongs to none that runs.
    pub(in crate::cli) run: u32,
    /// Which of the trial's flows.
    pub(in crate::cli) flow: u8,
    /// Which event of the flow, from 0.
    pub(in crate::cli) number: u32,
    /// When it was sent, in nanoseconds of the shared clock.
    pub(in crate::cli) sent_ns: u64,
}

const MARK: &[u8] = b"tb:";
/// Where the numbers stand, and their digits.
const RUN: (usize, usize) = (3, 8);
const FLOW: (usize, usize) = (12, 2);
const NUMBER: (usize, usize) = (15, 8);
const SENT: (usize, usize) = (24, 16);

impl Token {
    /// Bytes of its text.
    pub(in crate::cli) const LEN: usize = 40;

    /// Writes its text at the start of `out`, which has room for it.
    pub(in crate::cli) fn write(&self, out: &mut [u8]) {
        out[..Self::LEN].fill(b':');
        out[..MARK.len()].copy_from_slice(MARK);
        write_hex(out, RUN, self.run.into());
        write_hex(out, FLOW, self.flow.into());
        write_hex(out, NUMBER, self.number.into());
        write_hex(out, SENT, self.sent_ns);
    }

    /// The first one in a body.
    pub(in crate::cli) fn find(body: &[u8]) -> Option<Self> {
        let at = body.windows(MARK.len()).position(|window| window == MARK)?;
        let text = body.get(at..at + Self::LEN)?;
        Some(Self {
            run: u32::try_from(read_hex(text, RUN)?).ok()?,
            flow: u8::try_from(read_hex(text, FLOW)?).ok()?,
            number: u32::try_from(read_hex(text, NUMBER)?).ok()?,
            sent_ns: read_hex(text, SENT)?,
        })
    }
}

fn write_hex(out: &mut [u8], (at, digits): (usize, usize), mut value: u64) {
    for place in out[at..at + digits].iter_mut().rev() {
        *place = b"0123456789abcdef"[usize::try_from(value & 15).unwrap_or_default()];
        value >>= 4;
    }
}

fn read_hex(text: &[u8], (at, digits): (usize, usize)) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(&text[at..at + digits]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_again_in_whatever_a_dialect_wraps_around_it() {
        let token = Token { run: 0xdead_beef, flow: 7, number: 1_000_000, sent_ns: u64::MAX - 1 };
        let mut text = [0; Token::LEN];
        token.write(&mut text);
        assert_eq!(&text, b"tb:deadbeef:07:000f4240:fffffffffffffffe");
        let body = [br#"{"type":"x","data":{"token":""#, &text[..], br#""}}"#].concat();
        assert_eq!(Token::find(&body), Some(token));
        assert_eq!(Token::find(&body[..60]), None, "cut off");
        assert_eq!(Token::find(b"tb: or not tb: that is what the receiver asks itself"), None);
    }
}
