//! Dialects: the wire languages that receivers understand, each of them one TOML file and no line of Rust.
//!
//! A [`Profile`] is a dialect read from its file. It renders an event's body ([`Profile::render_body`], once for a
//! delivery), stamps and signs it ([`Profile::sign`], afresh for each attempt), and does the receiver's part too
//! ([`Profile::verify`]), so that `tidings listen` and the tests need no second description. [`Dialects`] is the set
//! that a process knows: the built-in files in `config/dialects/`, and those of an operator's folder.
//!
//! # The file
//!
//! ```toml
//! name = "acme"                         # also the file's name, acme.toml
//! title = "Acme"                        # for people
//! event_types = ["order.paid"]          # absent: any
//! timeout_seconds = 10                  # absent: the service's own
//! headers = [                           # {id} {type} {timestamp} {signatures} {token}
//!   "X-Acme-Time: {timestamp}",         # Content-Type: application/json comes by itself
//!   "X-Acme-Signature: {signatures}",
//!   "X-Acme-Token: {token}",
//! ]
//!
//! [timestamp]                           # what {timestamp} is; only where it is used
//! source = "attempt"                    # or "event": when it happened
//! format = "unix-seconds"               # or "rfc3339-seconds", "rfc3339-millis"
//!
//! [signature]
//! algorithm = "sha256"                  # or "sha512": HMAC with it
//! signed = "{timestamp}.{body}"         # {id} {type} {timestamp} {body}
//! encoding = "hex"                      # or "base64"
//! prefix = "v1="                        # before each signature; default none
//! separator = ","                       # between the signatures of several secrets; absent: only the newest signs
//!
//! [secret]
//! prefix = "whsec_"                     # default none
//! random_bytes = 32                     # of a fresh one, 16 to 32
//! encoding = "base64"                   # or "hex": how they are written
//! key = "decoded"                       # the bytes sign; or "text": the whole secret does, as UTF-8
//! min_chars = 38                        # prefix included; default 1
//!
//! [token]                               # what {token} is; only where it is used
//! prefix = ""
//! random_bytes = 32
//! encoding = "hex"
//!
//! [body]                                # {id} {type} {occurred_at} {data}
//! time_format = "rfc3339-seconds"       # of {occurred_at}; unix-seconds alone in a string make a number
//! template = '{"kind": "{type}", "...": "{data}"}'  # "data": "{data}" is the value, "...": "{data}" its members
//!
//! [challenge]                           # absent: a webhook is active at once
//! event_type = "HELLO"
//! template = '{"kind": "{type}", "challenge": "{challenge}"}'
//! answer_member = "challenge"           # the receiver answers with this JSON member,
//! answer_bare = true                    # or with the bare value; at least one of both
//!
//! [retry]                               # waits_seconds = [1, 60, 3600], or:
//! max_attempts = 5
//! initial_seconds = 1
//! factor = 2                            # default 2
//! max_seconds = 86400                   # default a day
//! jitter = 0.1                          # default 0.1
//! terminal_statuses = [410, "420-429"]  # default none; 410 is terminal always
//!
//! [registration.aliases]                # further members of the answer to a registration
//! hook_id = "id"
//!
//! [examples]                            # at the end of the file: the JSON of `data`, for test deliveries, by event type
//! "order.paid" = '{"test": true, "order_id": "o_1"}'
//! ```
//!
//! **Invariants**
//! - An event's data is spliced into the body byte for byte; nothing here parses and rewrites it.
//! - The body depends on the event alone, so it is the same in each attempt; what depends on the attempt is in headers.
//! - A file is checked when it is read. After that, only data that a flat body cannot carry fails ([`Unrenderable`]).
//! - Time and chance are arguments; the one thing read from outside is the operator's folder (`set`).
//! - No secret, token or key is in a `Debug` text; secrets are compared in constant time.
//!
//! **To add** a dialect, add a file to `config/dialects/`, a line in `set` and a folder in `tests/golden/`. To add a
//! placeholder, see `template`; to add a key to the file, see `file`.

#[cfg(test)]
mod any_request;
mod body;
mod challenge;
mod error;
mod file;
mod keys;
mod profile;
mod set;
mod sign;
mod splice;
mod stamp;
mod template;
mod verify;

pub use challenge::Challenge;
pub use error::DialectError;
pub use keys::Keys;
pub use profile::Profile;
pub use set::{DEFAULT_DIALECT, Dialects};
pub use sign::{Signed, Subject};
pub use splice::Unrenderable;
pub use verify::{Glance, VerifyError};

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn the_file_that_is_explained_above_is_a_dialect() {
        let lines = include_str!("mod.rs").lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let toml = lines.take_while(|line| *line != "//! ```").map(|line| line.trim_start_matches("//!").trim_start());
        let acme = Profile::parse(&toml.collect::<Vec<_>>().join("\n")).expect("a dialect");
        assert!(acme.name() == "acme" && acme.has_token() && acme.signs_side_by_side() && acme.challenge().is_some());
    }
}
