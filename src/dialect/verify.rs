//! The receiver's part: is a request from a sender that holds the secret? Driven by the same file as the sending.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;

use super::body::BodySlot;
use super::keys::Keys;
use super::profile::Profile;
use super::sign::{HeaderSlot, SignedSlot, Stamped};
use crate::domain::secret::same;

/// Why a request is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header that the dialect sets is not there.
    #[error("the header `{0}` is missing")]
    MissingHeader(String),
    /// A header does not have the form that the dialect gives it, or contradicts another one.
    #[error("the header `{0}` does not have the form that this dialect gives it, or contradicts another one")]
    MalformedHeader(String),
    /// The static token is not the expected one.
    #[error("the token is not the webhook's")]
    WrongToken,
    /// No signature was made with one of the secrets from these bytes.
    #[error("no signature fits the body and the secret")]
    WrongSignature,
    /// The signed time is too far from now, so the request may have been recorded and sent again.
    #[error("the signed timestamp `{0}` is too far from now")]
    Stale(String),
}

/// What a request says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance {
    /// The event's id.
    pub event_id: Option<String>,
    /// The event's type.
    pub event_type: Option<String>,
}

/// What the headers of a request say.
#[derive(Default)]
struct Said {
    id: Option<String>,
    event_type: Option<String>,
    timestamp: Option<String>,
    signatures: Option<String>,
    token: Option<String>,
}

impl Said {
    /// The place of a value; a value that stands in two headers has one place.
    fn slot(&mut self, slot: HeaderSlot) -> &mut Option<String> {
        match slot {
            HeaderSlot::Id => &mut self.id,
            HeaderSlot::Type => &mut self.event_type,
            HeaderSlot::Timestamp => &mut self.timestamp,
            HeaderSlot::Signatures => &mut self.signatures,
            HeaderSlot::Token => &mut self.token,
        }
    }
}

impl Profile {
    /// Verifies a request as a receiver should: its token, its signature over the raw body with any of `keys`, and,
    /// where the time of the attempt is signed, that it is within `tolerance` of `now`.
    ///
    /// `header` gives the value of a header by its name, whatever the case.
    pub fn verify(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        keys: &Keys,
        now: DateTime<Utc>,
        tolerance: Duration,
    ) -> Result<(), VerifyError> {
        let said = self.read_headers(header)?;
        if let Some(token) = &keys.token
            && !same(token.expose_secret(), said.token.as_deref().unwrap_or_default())
        {
            return Err(VerifyError::WrongToken);
        }
        if !self.has_signature(&said, body, keys) {
            return Err(VerifyError::WrongSignature);
        }
        self.check_age(said.timestamp, now, tolerance)
    }

    /// What a request says it is, for a receiver that shows it: the event's id and type, where this dialect tells them.
    /// None of it is proven before [`Profile::verify`] says so.
    #[must_use]
    pub fn glance(&self, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Glance {
        let in_body = |slot| self.body.string_in(body, slot);
        let in_headers = |slot| {
            let values = self.headers.iter().filter_map(|expected| {
                let text = header(&expected.name)?;
                let values = expected.value.read(text.trim())?;
                values.iter().find(|(found, _)| *found == slot).map(|(_, value)| (*value).to_owned())
            });
            values.into_iter().next()
        };
        Glance {
            event_id: in_body(BodySlot::Id).or_else(|| in_headers(HeaderSlot::Id)),
            event_type: in_body(BodySlot::Type).or_else(|| in_headers(HeaderSlot::Type)),
        }
    }

    fn read_headers(&self, header: &dyn Fn(&str) -> Option<String>) -> Result<Said, VerifyError> {
        let mut said = Said::default();
        for expected in self.headers.iter().filter(|expected| expected.has_slots()) {
            let name = &expected.name;
            let text = header(name).ok_or_else(|| VerifyError::MissingHeader(name.to_string()))?;
            let values = expected.value.read(text.trim());
            for (slot, value) in values.ok_or_else(|| VerifyError::MalformedHeader(name.to_string()))? {
                let earlier = said.slot(slot).replace(value.to_owned());
                if earlier.is_some_and(|earlier| earlier != value) {
                    return Err(VerifyError::MalformedHeader(name.to_string()));
                }
            }
        }
        Ok(said)
    }

    fn has_signature(&self, said: &Said, body: &[u8], keys: &Keys) -> bool {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (id, event_type, timestamp) = (text(&said.id), text(&said.event_type), text(&said.timestamp));
        let stamped = Stamped { id: &id, event_type: &event_type, timestamp: &timestamp };
        let sent = said.signatures.as_deref().unwrap_or_default();
        let sent: Vec<_> = match &self.signature.separator {
            Some(separator) => sent.split(separator.as_str()).collect(),
            None => vec![sent],
        };
        // Others than ours may stand beside it: Standard Webhooks asks to skip versions that one does not know.
        let sent: Vec<_> = sent.into_iter().filter_map(|one| one.strip_prefix(&*self.signature.prefix)).collect();
        keys.signing.iter().any(|key| {
            let expected = self.signature.digest(key, &stamped, body);
            sent.iter().any(|one| same(&expected, one))
        })
    }

    fn check_age(&self, said: Option<String>, now: DateTime<Utc>, tolerance: Duration) -> Result<(), VerifyError> {
        let Some(stamp) = self.stamp.filter(|stamp| stamp.is_of_attempt()) else { return Ok(()) };
        if !self.signature.signed.uses(SignedSlot::Timestamp) {
            return Ok(());
        }
        let said = said.unwrap_or_default();
        let age = stamp.format.read(&said).and_then(|time| now.signed_duration_since(time).abs().to_std().ok());
        if age.is_some_and(|age| age <= tolerance) { Ok(()) } else { Err(VerifyError::Stale(said)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use chrono::TimeDelta;

    use super::*;
    use crate::dialect::{Dialects, Signed};
    use crate::domain::event::Event;
    use crate::domain::ids::{EventId, TenantId};
    use crate::domain::secret::Secret;

    const TOLERANCE: Duration = Duration::from_mins(5);

    fn event(profile: &Profile) -> Event {
        Event {
            tenant_id: TenantId::from_u128(1),
            id: EventId::from_u128(1 << 100),
            event_type: profile.event_types().map_or("any.thing", |types| &types[0]).to_owned(),
            occurred_at: None,
            data: Bytes::from_static(br#"{"n": 1e999, "half": "\ud800"}"#),
        }
    }

    fn profiles() -> Vec<Arc<Profile>> {
        Dialects::builtin().expect("the built-in dialects").iter().cloned().collect()
    }

    fn keys(profile: &Profile, chances: &[u8]) -> Keys {
        let secrets: Vec<Secret> = chances.iter().map(|chance| profile.new_secret(&[*chance; 32])).collect();
        profile.keys(&secrets, profile.new_token(&[9; 32]).as_ref()).expect("keys")
    }

    fn signed(profile: &Profile, keys: &Keys) -> Signed {
        let event = event(profile);
        let body = profile.render_body(&event).expect("a body");
        profile.sign(&event, body, keys, DateTime::UNIX_EPOCH)
    }

    fn check(profile: &Profile, request: &Signed, keys: &Keys, seconds: i64) -> Result<(), VerifyError> {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let header = |name: &str| {
            request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        profile.verify(&header, &request.body, keys, now, TOLERANCE)
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        for profile in profiles() {
            let own = keys(&profile, &[1]);
            let request = signed(&profile, &own);
            assert_eq!(check(&profile, &request, &own, 0), Ok(()), "{}", profile.name());
            assert_eq!(check(&profile, &request, &keys(&profile, &[2]), 0), Err(VerifyError::WrongSignature));
            let mut flipped = request.body.to_vec();
            flipped[3] ^= 1;
            let forged = Signed { body: flipped.into(), ..request };
            assert_eq!(check(&profile, &forged, &own, 0), Err(VerifyError::WrongSignature));
        }
    }

    #[test]
    fn in_a_rotation_both_secrets_verify_where_the_dialect_can_carry_both() {
        for profile in profiles() {
            let request = signed(&profile, &keys(&profile, &[2, 1]));
            assert_eq!(check(&profile, &request, &keys(&profile, &[2]), 0), Ok(()));
            let old = check(&profile, &request, &keys(&profile, &[1]), 0);
            assert_eq!(old.is_ok(), profile.signs_side_by_side(), "{}", profile.name());
        }
    }

    #[test]
    fn a_recorded_request_goes_stale_where_its_time_is_signed() {
        for profile in profiles() {
            let own = keys(&profile, &[1]);
            let request = signed(&profile, &own);
            for (seconds, fresh) in [(300, true), (-300, true), (301, false), (-301, false)] {
                let fresh = fresh || !matches!(profile.name(), "standard" | "numora");
                let checked = check(&profile, &request, &own, seconds);
                assert_eq!(checked.is_ok(), fresh, "{} {seconds}: {checked:?}", profile.name());
            }
        }
    }

    #[test]
    fn every_header_with_a_meaning_is_needed_and_may_not_be_changed() {
        for profile in profiles() {
            let own = keys(&profile, &[1]);
            let request = signed(&profile, &own);
            for index in 1..request.headers.len() {
                let mut missing = request.clone();
                let (name, _) = missing.headers.remove(index);
                let missed = VerifyError::MissingHeader(name.to_string());
                assert_eq!(check(&profile, &missing, &own, 0), Err(missed));
                let mut changed = request.clone();
                changed.headers[index].1.insert(0, '7');
                let unsigned = ["X-Numora-Webhook-Id", "X-DocIntell-Event", "X-DocIntell-Timestamp"].contains(&&*name);
                assert_eq!(check(&profile, &changed, &own, 0).is_ok(), unsigned, "{name}");
            }
        }
    }

    #[test]
    fn a_glance_shows_type_and_id_where_the_dialect_tells_them() {
        for profile in profiles() {
            let request = signed(&profile, &keys(&profile, &[1]));
            let header = |name: &str| {
                request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
            };
            let Glance { event_id, event_type } = profile.glance(&header, &request.body);
            assert_eq!(event_type, Some(event(&profile).event_type), "{}", profile.name());
            let told = !["number7ai", "docintell"].contains(&profile.name());
            assert_eq!(event_id, told.then(|| event(&profile).id.to_string()), "{}", profile.name());
            assert_eq!(profile.glance(&|_| None, b"\xff"), Glance::default());
        }
    }

    #[test]
    fn nothing_secret_is_in_a_debug_text() {
        for profile in profiles() {
            let own = keys(&profile, &[1]);
            let shown = format!("{own:?} {:?}", signed(&profile, &own));
            for secret in [Some(profile.new_secret(&[1; 32])), profile.new_token(&[9; 32])].into_iter().flatten() {
                assert!(!shown.contains(secret.expose_secret()), "{shown}");
            }
        }
    }
}
