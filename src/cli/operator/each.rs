//! The same for many: one after the other, and what fails does not keep the rest from being done.

use std::fmt::Display;
use std::io::{self, BufRead, Write};
use std::str::FromStr;

use super::Desk;
use crate::cli::Failure;
use crate::cli::paint::Paint;
use crate::cli::show::cell::counted;
use crate::cli::show::progress::Progress;
use crate::client::{Answer, Call, ClientError};

/// From here on a person would like to know how far it is.
const LONG: usize = 10;

/// An id, or `-` for those on standard input.
#[derive(Debug, Clone)]
pub(in crate::cli) enum IdOrInput<I> {
    Id(I),
    Input,
}

impl<I: FromStr<Err: Display>> FromStr for IdOrInput<I> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            Ok(Self::Input)
        } else {
            text.parse().map(Self::Id).map_err(|error: I::Err| error.to_string())
        }
    }
}

/// All ids that were named, those on standard input included.
pub(super) fn ids<I: FromStr<Err: Display>>(named: Vec<IdOrInput<I>>) -> Result<Vec<I>, Failure> {
    let mut ids = Vec::new();
    for one in named {
        match one {
            IdOrInput::Id(id) => ids.push(id),
            IdOrInput::Input => {
                for (index, line) in io::stdin().lock().lines().enumerate() {
                    let line = line?;
                    let wrong = |error: I::Err| Failure::told(format!("line {} of standard input: {error}", index + 1));
                    if !line.trim().is_empty() {
                        ids.push(line.trim().parse().map_err(wrong)?);
                    }
                }
            }
        }
    }
    Ok(ids)
}

/// The ids as a person counts them before something is done to them.
pub(super) fn how_many<I: Display>(ids: &[I], one: &str, many: &str) -> String {
    match ids {
        [id] => format!("{one} {id}"),
        ids => counted(ids.len() as u64, one, many),
    }
}

/// Several of them failed; each was told already.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {all} failed; the sentences above say why")]
pub(in crate::cli) struct SomeFailed {
    failed: usize,
    all: usize,
    /// Not its source, which would tell it again.
    pub(in crate::cli) last: ClientError,
}

impl Desk {
    /// Makes a call for each id, and tells what came of it.
    pub(super) async fn each<I: Display>(
        &self,
        ids: &[I],
        call: impl Fn(&I) -> Call,
        done: impl Fn(&I, &Answer) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let progress = (ids.len() >= LONG).then(|| Progress::of(ids.len() as u64, "done"));
        let (mut failed, mut last) = (0, None);
        for (index, id) in ids.iter().enumerate() {
            match self.client.send(call(id)).await {
                Ok(answer) if self.screen.json => {
                    if !answer.is_empty() {
                        self.screen.say(answer.item()?.line())?;
                    }
                }
                Ok(answer) => self.screen.say(done(id, &answer)?)?,
                // The rest would meet with the same.
                Err(error) if ids.len() == 1 || error.status().is_none_or(|status| status == 401) => {
                    return Err(error.into());
                }
                Err(error) => {
                    failed += 1;
                    let told = format!("{} {id}: {error}", Paint::for_stderr().red("failed:"));
                    drop(writeln!(io::stderr(), "{told}"));
                    last = Some(error);
                }
            }
            if let Some(progress) = &progress {
                progress.is_at(index as u64 + 1);
            }
        }
        match last {
            Some(last) => Err(SomeFailed { failed, all: ids.len(), last }.into()),
            None => Ok(()),
        }
    }
}
