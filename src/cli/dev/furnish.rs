//! A tenant, an API key and a webhook that leads to our receiver: made once, and made again only where they are gone.

use std::net::SocketAddr;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::kept::Kept;
use super::visitor::{Visitor, granted, text};
use crate::cli::Failure;
use crate::dialect::DEFAULT_DIALECT;
use crate::domain::secret::Secret;
use crate::domain::tenant::Role;

/// What everything afterwards is done with.
#[derive(Debug)]
pub(super) struct Furniture {
    pub(super) tenant_id: String,
    pub(super) api_key: Secret,
    pub(super) platform_key: Secret,
    pub(super) webhook_id: String,
    pub(super) webhook_url: String,
    pub(super) webhook_secret: Secret,
}

/// Looks what is there, and makes the rest.
pub(super) async fn furnish(visitor: &Visitor, kept: &mut Kept, receiver: SocketAddr) -> Result<Furniture, Failure> {
    let mut notes = kept.notes().clone();
    if !is_there(visitor, &notes.tenant_id).await? {
        notes.tenant_id = make_tenant(visitor).await?;
        notes.api_key.clear();
    }
    // Kept after each step, so that a run that fails half-way leaves nothing behind that the next one makes again.
    kept.keep(notes.clone())?;
    if !is_valid(visitor, &notes.api_key).await? {
        notes.api_key = make_key(visitor, &notes.tenant_id).await?;
    }
    kept.keep(notes.clone())?;
    let (key, url) = (Secret::from(notes.api_key.as_str()), format!("http://{receiver}/"));
    if !lead_webhook(visitor, &key, &notes.webhook_id, &url).await? {
        (notes.webhook_id, notes.webhook_secret) = register(visitor, &key, &url).await?;
    }
    notes.receiver_port = receiver.port();
    kept.keep(notes.clone())?;
    Ok(Furniture {
        tenant_id: notes.tenant_id,
        api_key: key,
        platform_key: notes.platform_key.into(),
        webhook_id: notes.webhook_id,
        webhook_url: url,
        webhook_secret: notes.webhook_secret.into(),
    })
}

async fn is_there(visitor: &Visitor, tenant_id: &str) -> Result<bool, Failure> {
    if tenant_id.is_empty() {
        return Ok(false);
    }
    let (status, _) = visitor.as_platform(Method::GET, &format!("/v1/tenants/{tenant_id}"), None).await?;
    Ok(status.is_success())
}

async fn make_tenant(visitor: &Visitor) -> Result<String, Failure> {
    let body = json!({ "name": "Sandbox", "environment": "sandbox", "default_dialect": DEFAULT_DIALECT });
    let answer = visitor.as_platform(Method::POST, "/v1/tenants", Some(&body)).await?;
    text(&granted("make a tenant", answer)?, "id")
}

async fn is_valid(visitor: &Visitor, api_key: &str) -> Result<bool, Failure> {
    if api_key.is_empty() {
        return Ok(false);
    }
    let (status, _) = visitor.ask(Method::GET, "/v1/webhooks", &api_key.into(), None).await?;
    Ok(status.is_success())
}

async fn make_key(visitor: &Visitor, tenant_id: &str) -> Result<String, Failure> {
    let body = json!({ "tenant_id": tenant_id, "roles": Role::ALL, "description": "made by `tidings dev`" });
    let answer = visitor.as_platform(Method::POST, "/v1/api-keys", Some(&body)).await?;
    text(&granted("make an API key", answer)?, "key")
}

/// Leads the webhook of the run before to this run's receiver. `false` if there is none.
async fn lead_webhook(visitor: &Visitor, key: &Secret, id: &str, url: &str) -> Result<bool, Failure> {
    if id.is_empty() {
        return Ok(false);
    }
    let path = format!("/v1/webhooks/{id}");
    let answer = visitor.ask(Method::GET, &path, key, None).await?;
    if answer.0 == StatusCode::NOT_FOUND {
        return Ok(false);
    }
    let webhook = granted("read the webhook", answer)?;
    if webhook.get("url").and_then(Value::as_str) != Some(url) {
        let change = json!({ "url": url });
        granted("change the webhook", visitor.ask(Method::PATCH, &path, key, Some(&change)).await?)?;
    }
    if webhook.get("is_active").and_then(Value::as_bool) != Some(true) {
        let answer = visitor.ask(Method::POST, &format!("{path}/activate"), key, None).await?;
        granted("activate the webhook", answer)?;
    }
    Ok(true)
}

/// Registers the webhook; returns its id and its secret.
async fn register(visitor: &Visitor, key: &Secret, url: &str) -> Result<(String, String), Failure> {
    let body = json!({ "url": url, "events": ["*"], "description": "the receiver of `tidings dev`" });
    let answer = visitor.ask(Method::POST, "/v1/webhooks", key, Some(&body)).await?;
    let webhook = granted("register a webhook", answer)?;
    Ok((text(&webhook, "id")?, text(&webhook, "signing_secret")?))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::extract::{Request, State};
    use axum::response::{IntoResponse, Json, Response};

    use super::*;

    /// An API that knows one tenant, one key and one webhook, and notes what it is asked to change.
    #[derive(Default)]
    struct Fake {
        changes: Vec<String>,
        webhook: Option<Value>,
        is_wiped: bool,
    }

    type Shared = Arc<Mutex<Fake>>;

    async fn answer(State(fake): State<Shared>, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let body: Bytes = axum::body::to_bytes(body, 4096).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut fake = fake.lock().expect("a lock");
        let asked = format!("{} {}", parts.method, parts.uri.path());
        if parts.method != Method::GET {
            fake.changes.push(asked.clone());
        }
        match asked.as_str() {
            "POST /v1/tenants" => {
                fake.is_wiped = false;
                Json(json!({ "id": "ten_1" })).into_response()
            }
            "POST /v1/api-keys" => Json(json!({ "key": "tk_sandbox_1" })).into_response(),
            "POST /v1/webhooks" => {
                fake.webhook = Some(json!({ "url": body["url"], "is_active": true }));
                Json(json!({ "id": "wh_1", "signing_secret": "whsec_1" })).into_response()
            }
            "PATCH /v1/webhooks/wh_1" => {
                fake.webhook = Some(json!({ "url": body["url"], "is_active": true }));
                StatusCode::OK.into_response()
            }
            _ if fake.is_wiped => StatusCode::NOT_FOUND.into_response(),
            "GET /v1/webhooks/wh_1" => Json(fake.webhook.clone()).into_response(),
            _ => StatusCode::OK.into_response(),
        }
    }

    #[tokio::test]
    async fn things_are_made_once_and_made_again_only_where_they_are_gone() {
        let (fake, folder) = (Shared::default(), tempfile::tempdir().expect("a folder"));
        let run = async |port: u16| {
            let router = Router::new().fallback(answer).with_state(Arc::clone(&fake));
            let visitor = Visitor::new(router, Some("tk_platform_1".into()));
            let mut kept = Kept::open(folder.path()).expect("kept");
            let home = furnish(&visitor, &mut kept, ([127, 0, 0, 1], port).into()).await.expect("furniture");
            assert_eq!((&*home.tenant_id, &*home.webhook_id), ("ten_1", "wh_1"));
            std::mem::take(&mut fake.lock().expect("a lock").changes)
        };
        let everything = ["POST /v1/tenants", "POST /v1/api-keys", "POST /v1/webhooks"];
        assert_eq!(run(1).await, everything);
        assert_eq!(run(1).await, [""; 0], "a second run");
        assert_eq!(run(2).await, ["PATCH /v1/webhooks/wh_1"], "the port was taken");
        fake.lock().expect("a lock").is_wiped = true;
        assert_eq!(run(2).await[..2], everything[..2], "another database");
        fake.lock().expect("a lock").webhook = Some(json!({ "url": "http://127.0.0.1:2/", "is_active": false }));
        assert_eq!(run(2).await, ["POST /v1/webhooks/wh_1/activate"], "somebody paused it");
    }
}
