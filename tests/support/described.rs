//! Holds every answer that a test gets to the API's description: the status is one the operation has, the code of a problem one it
//! names, and the body of the described shape.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use tidings::api::openapi::document;
use tidings::dialect::Dialects;

use super::world::Answer;

pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&Dialects::builtin().expect("built-in dialects")));

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Checks an answer; the operation that gave it, where the description has one for this method and path.
#[track_caller]
pub fn check(method: &Method, path: &str, answer: &Answer) -> Option<String> {
    let (template, item) = item(path)?;
    let name = method.as_str().to_ascii_lowercase();
    let operation = item.get(&name)?;
    let what = format!("{method} {template} answered {}: {}", answer.status, answer.text);
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "the description does not have it: {what}");
    let response = match response["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(reference.trim_start_matches('#')).expect("a response"),
        None => response,
    };
    let sent = answer.headers.get("content-type").map(|value| value.to_str().expect("visible"));
    let sent = sent.map(|value| value.split(';').next().unwrap_or_default());
    match (sent, response["content"].as_object()) {
        (None, None) => assert!(answer.text.is_empty(), "a body that is not described: {what}"),
        (Some(sent), Some(content)) => {
            let schema = &content.get(sent).unwrap_or_else(|| panic!("not of a described type: {what}"))["schema"];
            if sent.ends_with("json") {
                let found = validator(schema).validate(&answer.json()).err().map(|error| error.to_string());
                assert_eq!(found, None, "not of the described shape: {what}");
            }
        }
        (sent, _) => panic!("{sent:?} is not described: {what}"),
    }
    Some(operation["operationId"].as_str().expect("an id").to_owned())
}

/// The most exact template that a path fits.
fn item(path: &str) -> Option<(&'static str, &'static Value)> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (own, asked): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        own.len() == asked.len()
            && own.iter().zip(&asked).all(|(own, asked)| own == asked || (own.starts_with('{') && !asked.is_empty()))
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let fitting = paths.iter().filter(|(template, _)| fits(template));
    fitting.min_by_key(|(template, _)| template.matches('{').count()).map(|(template, item)| (template.as_str(), item))
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let make = || {
        let whole = json!({ "allOf": [schema], "components": { "schemas": DOCUMENT["components"]["schemas"] } });
        Arc::new(jsonschema::validator_for(&whole).expect("a schema"))
    };
    Arc::clone(validators.entry(schema.to_string()).or_insert_with(make))
}
