//! What receivers get: the requests of each dialect, read from the dialect's own file, with a signed example.

use std::fmt::Write;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::dialect::{Dialects, Profile, Signed};
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};

/// 2026-03-21T14:24:11Z.
const SAMPLE_TIME: i64 = 1_774_103_051_000;
const SAMPLE_TYPE: &str = "document.processed";
const SAMPLE_DATA: &[u8] = br#"{"document_id":"doc_42","pages":3}"#;
/// What an example's secret is made from.
const SAMPLE_CHANCE: [u8; 32] = [7; 32];

/// The `webhooks` of the description: for each dialect its delivery, and its challenge where it has one.
pub(super) fn webhooks(dialects: &Dialects) -> Value {
    let mut webhooks = Map::new();
    for profile in dialects.iter() {
        // It was read from this text.
        let file: Value = toml::from_str(profile.source()).unwrap_or_default();
        webhooks.insert(profile.name().to_owned(), json!({ "post": delivery(profile, &file) }));
        if profile.challenge().is_some() {
            webhooks.insert(format!("{}.challenge", profile.name()), json!({ "post": challenge(profile, &file) }));
        }
    }
    webhooks.into()
}

fn delivery(profile: &Profile, file: &Value) -> Value {
    let (example, secret) = example(profile).unzip();
    let body = example.as_ref().map(|signed: &Signed| String::from_utf8_lossy(&signed.body).into_owned());
    let mut told = signature_rule(file);
    if let Some(secret) = secret {
        // Writing to a string does not fail.
        let _ = write!(told, "\n\nThe example is signed with the secret `{secret}`.");
    }
    let body = body.and_then(|body| serde_json::from_str::<Value>(&body).ok());
    json!({
        "tags": ["receivers"],
        "operationId": format!("receive_{}", profile.name()),
        "summary": format!("A delivery in the dialect {}", profile.title()),
        "description": told,
        "parameters": headers(file, example.as_ref()),
        "requestBody": request_body(&file["body"], profile.event_types(), body),
        "responses": {
            "2XX": { "description": "Delivered; the body is not looked at" },
            "410": { "description": "Gone: the webhook is disabled" },
            "default": { "description": format!("Failed. {}", retries(profile)) },
        },
        "security": [],
    })
}

fn challenge(profile: &Profile, file: &Value) -> Value {
    let table = &file["challenge"];
    let member = table["answer_member"].as_str().map(|member| format!("in the JSON member `{member}`"));
    let bare = (table["answer_bare"] == true).then(|| "bare".to_owned());
    let ways: Vec<_> = member.into_iter().chain(bare).collect();
    json!({
        "tags": ["receivers"],
        "operationId": format!("receive_{}_challenge", profile.name()),
        "summary": format!("The challenge of the dialect {}", profile.title()),
        "description": format!("Signed like a delivery. It is passed by returning its value, {}.", ways.join(" or ")),
        "parameters": headers(file, None),
        "requestBody": request_body(table, table["event_type"].as_str().map(|only| vec![only.to_owned()]).as_deref(), None),
        "responses": { "2XX": { "description": "Passed, where the value comes back" } },
        "security": [],
    })
}

/// How a receiver checks what it gets, in the words of the dialect's file.
fn signature_rule(file: &Value) -> String {
    let signature = &file["signature"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (signed, encoding) = (text(&signature["signed"]), text(&signature["encoding"]));
    let mut rule = format!(
        "The signature is HMAC-{} over `{signed}`, in {encoding}{}",
        text(&signature["algorithm"]).to_ascii_uppercase(),
        match signature["prefix"].as_str() {
            Some(prefix) if !prefix.is_empty() => format!(", behind `{prefix}`. "),
            _ => ". ".to_owned(),
        },
    );
    rule.push_str(match file["secret"]["key"].as_str() {
        Some("text") | None => "The key is the secret's text, in UTF-8.",
        Some(_) => "The key is the bytes that the secret's text stands for, behind its prefix.",
    });
    if let Some(separator) = signature["separator"].as_str() {
        let _ =
            write!(rule, " While a rotation's overlap lasts, each live secret signs; `{separator}` stands between.");
    }
    if let Some(stamp) = file["timestamp"].as_object() {
        let _ = write!(
            rule,
            " The timestamp is the {}'s, as {}.",
            stamp["source"].as_str().unwrap_or_default(),
            stamp["format"].as_str().unwrap_or_default()
        );
    }
    rule
}

fn retries(profile: &Profile) -> String {
    let policy = profile.retry();
    let waits: Vec<_> = policy.waits.iter().map(|wait| wait.as_secs().to_string()).collect();
    format!("{} attempts in all, {} s apart.", policy.max_attempts(), waits.join(", "))
}

/// `name: template` of the file as parameters.
fn headers(file: &Value, example: Option<&Signed>) -> Vec<Value> {
    let lines = file["headers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, template)| {
            let sent = example.and_then(|signed| signed.headers.iter().find(|(own, _)| **own == *name));
            let mut parameter = json!({
                "name": name,
                "in": "header",
                "required": true,
                "description": format!("`{template}`"),
                "schema": { "type": "string" },
            });
            if let Some((_, value)) = sent {
                parameter["example"] = value.as_str().into();
            }
            parameter
        })
        .collect()
}

fn request_body(table: &Value, types: Option<&[String]>, example: Option<Value>) -> Value {
    let template: Value =
        table["template"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut content = json!({ "schema": shape(&template, table, types) });
    if let Some(example) = example {
        content["example"] = example;
    }
    json!({ "required": true, "content": { "application/json": content } })
}

/// The schema of what a template renders to.
fn shape(template: &Value, table: &Value, types: Option<&[String]>) -> Value {
    match template {
        Value::Object(members) => {
            let own: Map<_, _> = members
                .iter()
                .filter(|(name, _)| *name != "...")
                .map(|(name, value)| (name.clone(), shape(value, table, types)))
                .collect();
            let required: Vec<_> = own.keys().cloned().collect();
            let flat = members.contains_key("...");
            json!({ "type": "object", "required": required, "properties": own, "additionalProperties": flat })
        }
        Value::Array(items) => {
            json!({ "type": "array", "prefixItems": items.iter().map(|item| shape(item, table, types)).collect::<Vec<_>>() })
        }
        Value::String(text) => match text.as_str() {
            "{id}" => json!({ "$ref": "#/components/schemas/EventId" }),
            "{data}" => json!({ "description": "As it was reported, byte for byte" }),
            "{challenge}" => json!({ "type": "string", "description": "What to return" }),
            "{type}" => match types {
                Some(types) => json!({ "type": "string", "enum": types }),
                None => json!({ "type": "string" }),
            },
            "{occurred_at}" if table["time_format"] == "unix-seconds" => json!({ "type": "integer" }),
            "{occurred_at}" => json!({ "type": "string", "format": "date-time" }),
            text if text.contains('{') => json!({ "type": "string" }),
            text => json!({ "const": text }),
        },
        other => json!({ "const": other }),
    }
}

/// A request as it goes out, and the secret that signed it.
fn example(profile: &Profile) -> Option<(Signed, String)> {
    let time: DateTime<Utc> = DateTime::from_timestamp_millis(SAMPLE_TIME)?;
    let event_type = profile.event_types().and_then(|types| types.first()).map_or(SAMPLE_TYPE, String::as_str);
    let event = Event {
        tenant_id: TenantId::from_u128(0),
        id: EventId::new(time, 0),
        event_type: event_type.to_owned(),
        occurred_at: Some(time),
        data: Bytes::from_static(SAMPLE_DATA),
    };
    let secret = profile.new_secret(&SAMPLE_CHANCE);
    let token = profile.new_token(&SAMPLE_CHANCE);
    let keys = profile.keys(std::slice::from_ref(&secret), token.as_ref()).ok()?;
    let signed = profile.sign(&event, profile.render_body(&event).ok()?, &keys, time);
    Some((signed, secret.expose_secret().to_owned()))
}
