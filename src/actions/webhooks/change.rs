//! Change: PATCH, checked as POST is.

use crate::actions::vault;
use crate::actions::webhooks::{WebhookInput, WebhookView, Webhooks, input, view};
use crate::actions::{ActionError, Fault, Member};
use crate::dialect::Profile;
use crate::domain::ids::WebhookId;
use crate::domain::tenant::Environment;
use crate::domain::webhook::State;
use crate::store::webhooks::{Settings, Webhook};

/// Times a change is worked out anew because somebody else's came between.
const TRIES: usize = 5;

impl<'a> Webhooks<'a> {
    /// Changes the members that are there. With `seen`, only if that is still the webhook's revision.
    pub async fn change(
        self,
        id: WebhookId,
        mut input: WebhookInput,
        seen: Option<i32>,
    ) -> Result<WebhookView, ActionError> {
        let webhook = self.read(id).await?;
        if seen.is_some_and(|seen| seen != webhook.revision) {
            return Err(ActionError::Stale);
        }
        if matches!(&input.dialect, Member::Null)
            || matches!(&input.dialect, Member::Is(name) if *name != webhook.dialect)
        {
            let detail =
                "a webhook's dialect cannot be changed, since its receiver knows no other: register a new webhook";
            return Err(ActionError::invalid("/dialect", "immutable", detail));
        }
        let tenant = self.context.store.tenant(self.tenant_id).await?.ok_or(ActionError::NotFound("webhook"))?;
        let profile = self.profile(&webhook)?;
        let is_active = match std::mem::take(&mut input.is_active) {
            Member::Null => return Err(ActionError::invalid("/is_active", "null", "must not be null")),
            Member::Is(is_active) => Some(is_active),
            Member::Absent => None,
        };
        let mut settings = {
            let environment = tenant.environment;
            Draft { webhooks: self, id, current: Some(&webhook), profile, environment }.settle(input)?
        };
        settings.state = match (is_active, settings.state) {
            (Some(false), _) => State::Inactive,
            (Some(true), _) | (None, State::Active | State::PendingVerification) => activated(&settings, profile),
            (None, state) => state,
        };
        if settings.state != State::Disabled {
            settings.disabled_reason = None;
        }
        self.store(&webhook, settings).await
    }

    /// Works out a webhook's next settings and stores them; again, if somebody else was faster.
    pub(super) async fn change_with(
        self,
        id: WebhookId,
        next: impl Fn(&Webhook, &Profile) -> Result<Settings, ActionError>,
    ) -> Result<WebhookView, ActionError> {
        for _ in 0..TRIES {
            let webhook = self.read(id).await?;
            match self.store(&webhook, next(&webhook, self.profile(&webhook)?)?).await {
                Err(ActionError::Stale) => {}
                other => return other,
            }
        }
        Err(ActionError::Stale)
    }

    /// Stores settings as the revision after `webhook`'s. Where it stops getting events, returns once that is in force.
    pub(super) async fn store(self, webhook: &Webhook, settings: Settings) -> Result<WebhookView, ActionError> {
        let context = self.context;
        let now = context.clock.now();
        let stops = webhook.settings.state == State::Active && settings.state != State::Active;
        if !context.store.change_webhook((self.tenant_id, webhook.id), webhook.revision, &settings, now).await? {
            return Err(ActionError::Stale);
        }
        if stops {
            super::state::in_force(context, webhook.id).await?;
        }
        let changed = Webhook { settings, revision: webhook.revision + 1, updated_at: now, ..webhook.clone() };
        view::show(context, &changed)
    }

    pub(super) fn profile(self, webhook: &Webhook) -> Result<&'a Profile, ActionError> {
        let profile = self.context.dialects.get(&webhook.dialect).ok_or_else(|| {
            let detail =
                format!("the dialect `{}` is not on offer any more; ask the operator of this service", webhook.dialect);
            ActionError::conflict("dialect_missing", detail)
        })?;
        Ok(profile)
    }
}

/// The state of a webhook that is to get events: where its dialect has a challenge, the receiver at its URL must have passed it.
pub(super) fn activated(settings: &Settings, profile: &Profile) -> State {
    let verified = settings.verified_url.as_ref() == Some(&settings.url);
    if profile.challenge().is_some() && !verified { State::PendingVerification } else { State::Active }
}

/// A webhook on its way from an input to settings.
pub(super) struct Draft<'a> {
    pub(super) webhooks: Webhooks<'a>,
    pub(super) id: WebhookId,
    pub(super) current: Option<&'a Webhook>,
    pub(super) profile: &'a Profile,
    pub(super) environment: Environment,
}

impl Draft<'_> {
    /// The settings, or all that is wrong with the input.
    pub(super) fn settle(self, input: WebhookInput) -> Result<Settings, ActionError> {
        let mut faults = Vec::new();
        let current = self.current.map(|webhook| &webhook.settings);
        let http_allowed = self.environment == Environment::Sandbox;
        let guard = self.webhooks.context.sender.guard();
        let url = input.url.required("/url", current.map(|now| now.url.clone()), &mut faults);
        let url = url.and_then(|url| input::check_url(&url, http_allowed, guard, &mut faults));
        let events = input.events.required("/events", current.map(|now| now.events.clone()), &mut faults);
        if let Some(events) = &events {
            input::check_events(events, self.profile, &mut faults);
        }
        let description =
            input.description.or_default(current.map(|now| now.description.clone()).unwrap_or_default(), String::new());
        input::check_description(&description, &mut faults);
        let retry = input.retry.or_none(current.and_then(|now| now.retry.clone()));
        if let Some(retry) = &retry {
            input::check_retry(retry, &mut faults);
        }
        let wide = |number: Option<i16>| number.map(i64::from);
        let timeout = input.timeout_seconds.or_none(current.and_then(|now| wide(now.timeout_seconds)));
        let in_flight = input.max_in_flight.or_none(current.and_then(|now| wide(now.max_in_flight)));
        let rate = input.rate_limit.or_none(current.and_then(|now| now.rate_limit.map(i64::from)));
        let timeout_seconds = input::check_number(timeout, "/timeout_seconds", 30, &mut faults);
        let max_in_flight = input::check_number(in_flight, "/max_in_flight", 256, &mut faults);
        let rate_limit = input::check_number(rate, "/rate_limit", 100_000, &mut faults);
        let metadata = input.metadata.or_none(None).map(|raw| raw.get().to_owned());
        let metadata = metadata.or_else(|| current.map(|now| now.metadata.clone())).unwrap_or_else(|| "{}".to_owned());
        input::check_metadata(&metadata, &mut faults);
        let headers = self.headers(input.headers, &mut faults)?;
        let (Some(url), Some(events), true) = (url, events, faults.is_empty()) else {
            return Err(ActionError::Invalid(faults));
        };
        let sealed = self.seal(&headers)?;
        Ok(Settings {
            url,
            events,
            description,
            header_names: headers.into_iter().map(|(name, _)| name).collect(),
            headers: sealed,
            retry,
            timeout_seconds,
            rate_limit,
            max_in_flight,
            metadata,
            state: current.map_or(State::Active, |now| now.state),
            disabled_reason: current.and_then(|now| now.disabled_reason.clone()),
            verified_at: current.and_then(|now| now.verified_at),
            verified_url: current.and_then(|now| now.verified_url.clone()),
        })
    }

    fn headers(
        &self,
        input: Member<std::collections::BTreeMap<String, String>>,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<(String, String)>, ActionError> {
        let headers = match (input, self.current) {
            (Member::Is(headers), _) => headers.into_iter().collect(),
            (Member::Absent, Some(webhook)) => view::open_headers(self.webhooks.context, webhook)?,
            (Member::Absent | Member::Null, _) => Vec::new(),
        };
        input::check_headers(&headers, self.profile, faults);
        Ok(headers)
    }

    fn seal(&self, headers: &[(String, String)]) -> Result<Option<crate::domain::secret::Sealed>, ActionError> {
        if headers.is_empty() {
            return Ok(None);
        }
        let key = &self.webhooks.context.master_key;
        Ok(Some(vault::seal_headers(key, self.webhooks.tenant_id, self.id, headers)?))
    }
}
