//! The API's description, [OpenAPI 3.1](https://spec.openapis.org/oas/v3.1.1), made from the code that answers.
//!
//! A handler's `#[utoipa::path]` says what only it knows: method, path, role, parameters, body, the successes and the problems
//! that are its own, each as a status and its codes. [`finish`] adds what follows from that: the ids in paths, the header
//! `Tidings-Tenant`, and the problems that every request can meet.
//!
//! | in a handler's attribute | means |
//! |---|---|
//! | no `security` | for everybody |
//! | `security(("any_key" = []))` | every key |
//! | `security(("platform_key" = []))` | platform keys |
//! | `security(("api_key" = ["viewer"]))` | keys with this role, and platform keys that name a tenant |
//! | `(status = 409, description = "changing, event_gone")` | a problem with one of these codes |

mod finish;
mod problems;
mod receivers;

use serde_json::{Value, json};
use utoipa::OpenApi;

use super::router::Description;
use crate::dialect::Dialects;
use crate::domain::ids::{DeliveryId, EventId, KeyId, ReplayId, TenantId, WebhookId};

/// What every operation's tag stands for, in the order in which the pages show them.
const TAGS: [(&str, &str); 11] = [
    ("webhooks", "Registrations: URL, event types, dialect, secret, state"),
    ("events", "Facts that internal services report, and what became of them"),
    ("event types", "The tenant's catalogue: what its events are, and what their data must be"),
    ("deliveries", "Events owed to webhooks, with every attempt"),
    ("dead letters", "Deliveries given up, until an operator resends or deletes them"),
    ("replays", "Jobs that resend many deliveries"),
    ("dialects", "The wire languages that receivers are spoken to in"),
    ("tenants", "Isolation boundaries; for platform keys"),
    ("API keys", "Who may do what; for platform keys"),
    ("process", "How the process is"),
    ("receivers", "What receivers get, dialect by dialect"),
];

const ABOUT: &str = "\
Tidings is the sender side of webhooks: it accepts events, signs and delivers them to webhooks, retries, and keeps what could not \
be delivered until an operator resends it.

Errors are `application/problem+json` (RFC 9457); `code` is stable. Unknown members and parameters are refused by name. Another \
tenant's id is a 404. Lists are walked by `page[after]` or the header `Link`.";

#[derive(OpenApi)]
#[openapi(components(schemas(problems::ProblemBody, TenantId, KeyId, WebhookId, EventId, DeliveryId, ReplayId)))]
struct Frame;

/// The description, with the requests of these dialects as its webhooks.
#[must_use]
pub fn document(dialects: &Dialects) -> Value {
    let mut frame = Frame::openapi();
    frame.merge(Description::openapi());
    let mut document = json!(frame);
    document["info"] = json!({
        "title": "Tidings",
        "version": env!("CARGO_PKG_VERSION"),
        "description": ABOUT,
        "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/", "description": "Where this page comes from" }]);
    document["tags"] =
        TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect();
    document["components"]["securitySchemes"] = json!({
        "api_key": { "type": "http", "scheme": "bearer", "description": "A tenant's key, `tk_live_…` or `tk_sandbox_…`" },
        "platform_key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A platform key, `tk_platform_…`; it acts for the tenant that the header `Tidings-Tenant` names",
        },
    });
    finish::finish(&mut document);
    document["webhooks"] = receivers::webhooks(dialects);
    document
}
