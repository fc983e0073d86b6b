//! Just enough HTTP/1.1 to find where a message ends. Both ends here are cheap on purpose: what they cost, they take
//! from the service that is measured.

/// Where the parts of a message lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Head {
    /// Bytes of the head, the empty line included: the body begins here.
    pub(in crate::cli) end: usize,
    /// Bytes of the body; `None` where the head does not say.
    pub(in crate::cli) body: Option<usize>,
}

impl Head {
    /// Reads the head, if the buffer has all of it.
    pub(in crate::cli) fn of(buffer: &[u8]) -> Option<Self> {
        let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let body = buffer[..end].split(|byte| *byte == b'\n').find_map(content_length);
        Some(Self { end, body })
    }
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let name = line.get(..NAME.len())?;
    let value = name.eq_ignore_ascii_case(NAME).then(|| &line[NAME.len()..])?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_head_says() {
        let text = b"POST /ok/3 HTTP/1.1\r\nHost: x\r\nCONTENT-length:  2 \r\n\r\nab";
        assert_eq!(Head::of(text), Some(Head { end: text.len() - 2, body: Some(2) }));
        assert_eq!(Head::of(&text[..30]), None);
        assert_eq!(Head::of(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(Head { end: 27, body: None }));
    }
}
