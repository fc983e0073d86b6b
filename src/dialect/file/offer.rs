//! What a file on offer may not say. A revision from when it was allowed keeps its meaning for the deliveries accepted under it.

use super::File;
use crate::dialect::error::DialectError;

impl File {
    /// Checks a file that is on offer.
    pub(crate) fn check_offer(&self) -> Result<(), DialectError> {
        self.check_header_names()?;
        self.signature.check_prefix()?;
        self.registration.check_aliases()?;
        self.body.check_names()?;
        let Some(challenge) = &self.challenge else { return Ok(()) };
        challenge.check_names()?;
        if self.event_types.iter().flatten().any(|known| *known == challenge.event_type) {
            let problem = "must not be one of `event_types`: a receiver could not tell its events from a challenge";
            return Err(DialectError::at("challenge.event_type", problem));
        }
        Ok(())
    }
}
