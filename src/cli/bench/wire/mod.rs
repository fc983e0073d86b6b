//! What the bench and its receivers say to each other: a token in each event, a record of each request, one clock.

mod clock;
mod head;
mod record;
mod token;

pub(in crate::cli) use clock::now_ns;
pub(in crate::cli) use head::Head;
pub(in crate::cli) use record::Record;
pub(in crate::cli) use token::Token;
