//! Webhooks: how they fare, and registering, changing, testing and rotating them.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::acts::CHANGED;
use super::filters::Filters;
use super::segment;
use crate::console::caller::Refusal;
use crate::console::form::{Form, Typed};
use crate::console::labels::Labels;
use crate::console::nouns::{Delivery, Dialect, Glimpse, Health, List, Trial, Webhook};
use crate::console::page::{Detour, html};
use crate::console::seat::{Frame, Seat};
use crate::console::show::{self, Chart};
use crate::domain::webhook::State;

const FILTERS: &[&str] = &["state", "event"];
/// Look-ups under way at once for one page.
const AT_ONCE: usize = 4;
const TAB: &str = "/webhooks";

#[derive(Template)]
#[template(path = "webhooks.html", config = ".askama.toml")]
struct WebhooksPage {
    frame: Frame,
    /// How one fares is left out where the API would not say it now.
    webhooks: Vec<(Webhook, Option<Health>)>,
    next: Option<String>,
    refusal: Option<Refusal>,
    filters: Filters,
    done: Option<&'static str>,
}

pub(in crate::console) async fn list(seat: Seat, Query(filters): Query<Filters>) -> Result<Response, Detour> {
    let list: List<Webhook> = filters.list(&seat.caller, "/v1/webhooks", FILTERS).await?;
    let status = list.status();
    let paths: Vec<_> = list.data.iter().map(|webhook| format!("/v1/webhooks/{}/health", webhook.id)).collect();
    let mut asked = Vec::with_capacity(paths.len());
    for path in &paths {
        asked.push(seat.caller.read::<Health>(path));
    }
    let healths: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let webhooks = list.data.into_iter().zip(healths.into_iter().map(Result::ok));
    let (frame, webhooks, done) = (seat.frame(TAB), webhooks.collect(), filters.done());
    let page = WebhooksPage { frame, webhooks, next: list.page.next, refusal: list.refusal, filters, done };
    Ok((status, html(&page)).into_response())
}

#[derive(Template)]
#[template(path = "webhook.html", config = ".askama.toml")]
struct WebhookPage {
    frame: Frame,
    labels: Labels,
    webhook: Webhook,
    health: Health,
    chart: Chart,
    deliveries: Vec<Delivery>,
    entry: Entry,
    /// What the form showed before somebody typed: only what differs from it is changed, lest it undo what others have changed meanwhile.
    shown: Entry,
    refusal: Option<Refusal>,
    done: Option<&'static str>,
}

impl WebhookPage {
    async fn of(seat: &Seat, id: &str) -> Result<Self, Refusal> {
        let id = segment(id);
        let webhook: Webhook = seat.caller.read(&format!("/v1/webhooks/{id}")).await?;
        let health = seat.caller.read(&format!("/v1/webhooks/{id}/health")).await?;
        let size = Chart::BARS;
        let attempts = format!("/v1/attempts?filter[webhook_id]={id}&page[size]={size}");
        let attempts: List<Glimpse> = seat.caller.read(&attempts).await?;
        let deliveries = format!("/v1/deliveries?filter[webhook_id]={id}&page[size]=10");
        let deliveries: List<Delivery> = seat.caller.read(&deliveries).await?;
        Ok(Self {
            frame: seat.frame(TAB),
            labels: Labels::of_one(&webhook),
            entry: Entry::of(&webhook),
            shown: Entry::of(&webhook),
            webhook,
            health,
            chart: Chart::of(&attempts.data),
            deliveries: deliveries.data,
            refusal: None,
            done: None,
        })
    }
}

pub(in crate::console) async fn show(
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    Query(filters): Query<Filters>,
) -> Result<Response, Detour> {
    let done = filters.done();
    Ok(html(&WebhookPage { done, ..WebhookPage::of(&seat, &id).await? }))
}

/// What somebody types of a webhook.
#[derive(Default)]
struct Entry {
    url: String,
    /// Separated by commas or white space.
    events: String,
    dialect: String,
    description: String,
}

impl Entry {
    fn typed(form: &Typed) -> Self {
        Self::read(form, "")
    }

    /// What a form showed before somebody typed.
    fn shown(form: &Typed) -> Self {
        Self::read(form, "shown_")
    }

    fn read(form: &Typed, prefix: &str) -> Self {
        let of = |name| form.of(&format!("{prefix}{name}")).to_owned();
        Self { url: of("url"), events: of("events"), dialect: of("dialect"), description: of("description") }
    }

    fn of(webhook: &Webhook) -> Self {
        Self {
            url: webhook.url.clone(),
            events: webhook.events.join(", "),
            dialect: webhook.dialect.clone(),
            description: webhook.description.clone(),
        }
    }

    /// What it says otherwise than another, for the API.
    fn differing_from(&self, other: &Self) -> Map<String, Value> {
        let separators = |c: char| c == ',' || c.is_whitespace();
        let events: Vec<_> = self.events.split(separators).filter(|name| !name.is_empty()).collect();
        let members = [
            ("url", &self.url, &other.url, self.url.as_str().into()),
            ("events", &self.events, &other.events, events.into()),
            ("dialect", &self.dialect, &other.dialect, self.dialect.as_str().into()),
            ("description", &self.description, &other.description, self.description.as_str().into()),
        ];
        let differing = members.into_iter().filter(|(_, own, other, _)| own != other);
        differing.map(|(name, .., value)| (name.to_owned(), value)).collect()
    }
}

#[derive(Template)]
#[template(path = "new-webhook.html", config = ".askama.toml")]
struct NewWebhookPage {
    frame: Frame,
    entry: Entry,
    dialects: Vec<Dialect>,
    refusal: Option<Refusal>,
}

async fn new_page(seat: &Seat, entry: Entry, refusal: Option<Refusal>) -> Result<Response, Detour> {
    let dialects: List<Dialect> = seat.caller.read("/v1/dialects?page[size]=100").await?;
    let status = refusal.as_ref().map(Refusal::status).unwrap_or_default();
    let page = NewWebhookPage { frame: seat.frame(TAB), entry, dialects: dialects.data, refusal };
    Ok((status, html(&page)).into_response())
}

pub(in crate::console) async fn new_form(seat: Seat) -> Result<Response, Detour> {
    new_page(&seat, Entry { events: "*".to_owned(), ..Entry::default() }, None).await
}

/// The one page that shows secrets, and only this once.
#[derive(Template)]
#[template(path = "secret.html", config = ".askama.toml")]
struct SecretPage {
    frame: Frame,
    webhook: Webhook,
    is_new: bool,
}

pub(in crate::console) async fn register(seat: Seat, Form(form): Form) -> Result<Response, Detour> {
    let entry = Entry::typed(&form);
    match seat.caller.send(Method::POST, "/v1/webhooks", &entry.differing_from(&Entry::default())).await {
        Ok(webhook) => Ok(html(&SecretPage { frame: seat.frame(TAB), webhook, is_new: true })),
        Err(refusal) if refusal.leaves_form() => new_page(&seat, entry, Some(refusal)).await,
        Err(refusal) => Err(refusal.into()),
    }
}

pub(in crate::console) async fn change(
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    Form(form): Form,
) -> Result<Response, Detour> {
    let (entry, shown) = (Entry::typed(&form), Entry::shown(&form));
    let path = format!("/v1/webhooks/{}", segment(&id));
    match seat.caller.send::<Webhook>(Method::PATCH, &path, &entry.differing_from(&shown)).await {
        Ok(webhook) => Ok(Redirect::to(&format!("{}{TAB}/{}?done={CHANGED}", seat.path(), webhook.id)).into_response()),
        Err(refusal) if refusal.leaves_form() => {
            let status = refusal.status();
            let page = WebhookPage { entry, shown, refusal: Some(refusal), ..WebhookPage::of(&seat, &id).await? };
            Ok((status, html(&page)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The form says for how long the old secret signs beside the new one; as the dialect has it, where it says nothing.
pub(in crate::console) async fn rotate(
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    Form(form): Form,
) -> Result<Response, Detour> {
    // What is no number goes as it is: the API says what it must be.
    let seconds = |text: &str| text.parse::<u64>().map_or_else(|_| text.into(), Value::from);
    let overlap = form.set(&["overlap_seconds"]).map(|(name, text)| (name.to_owned(), seconds(text)));
    let body: Map<_, _> = overlap.collect();
    let path = format!("/v1/webhooks/{}/rotate", segment(&id));
    let webhook = seat.caller.send(Method::POST, &path, &body).await?;
    Ok(html(&SecretPage { frame: seat.frame(TAB), webhook, is_new: false }))
}

#[derive(Template)]
#[template(path = "trial.html", config = ".askama.toml")]
struct TrialPage {
    frame: Frame,
    id: String,
    trial: Trial,
}

pub(in crate::console) async fn test(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Response, Detour> {
    let path = format!("/v1/webhooks/{}/test", segment(&id));
    let trial = seat.caller.send(Method::POST, &path, &json!({})).await?;
    Ok(html(&TrialPage { frame: seat.frame(TAB), id, trial }))
}
