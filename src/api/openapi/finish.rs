//! What follows from what the handlers say of themselves.

use serde_json::{Map, Value, json};

use super::problems::{self, Codes, add};
use crate::api::kinds;

/// What begins a page's name, as its type parameter is spelled.
const LIST: &str = "List_";

/// The nouns with ids in paths, and the schemas of those.
const IDS: [(&str, &str); 7] = [
    ("tenants", "TenantId"),
    ("api-keys", "KeyId"),
    ("webhooks", "WebhookId"),
    ("events", "EventId"),
    ("deliveries", "DeliveryId"),
    ("dead-letters", "DeliveryId"),
    ("replays", "ReplayId"),
];

/// Completes the operations and the components.
pub(super) fn finish(document: &mut Value) {
    rename_lists(document);
    for (path, item) in members(&mut document["paths"]) {
        for (method, operation) in members(item) {
            complete(path, method, operation);
        }
    }
    let (responses, examples) = problems::components();
    let components = &mut document["components"];
    components["responses"] = responses.into();
    components["examples"] = examples.into();
    components["headers"] = json!({
        "RequestId": { "description": "Names the request in the operator's log", "schema": { "type": "string" } },
        "RetryAfter": { "description": "Seconds to wait before the next request", "schema": { "type": "integer" } },
        "Link": { "description": "`<…>; rel=\"next\"`: the next page, where there is one", "schema": { "type": "string" } },
    });
    components["parameters"] = json!({ "Tenant": {
        "name": "Tidings-Tenant",
        "in": "header",
        "description": "The tenant that a platform key acts for; a tenant's own key needs none",
        "schema": { "$ref": "#/components/schemas/TenantId" },
    } });
}

fn complete(path: &str, method: &str, operation: &mut Value) {
    let mut codes = own_codes(operation);
    add(&mut codes, kinds::INTERNAL);
    who_may(operation, &mut codes);
    if path.contains('{') {
        id_in_path(path, operation, &mut codes);
    }
    if operation.get("requestBody").is_some() {
        body_may_be_missing(operation);
        for kind in [
            kinds::INVALID_JSON,
            kinds::INVALID_BODY,
            kinds::SLOW_BODY,
            kinds::TOO_LARGE,
            kinds::UNSUPPORTED_MEDIA_TYPE,
            kinds::INVALID,
            kinds::BUSY,
        ] {
            add(&mut codes, kind);
        }
    } else if method == "post" {
        for kind in [kinds::UNWANTED_BODY, kinds::INVALID_BODY, kinds::SLOW_BODY, kinds::TOO_LARGE, kinds::BUSY] {
            add(&mut codes, kind);
        }
    }
    for (_, response) in members(&mut operation["responses"]) {
        success(response);
    }
    for (status, codes) in &codes {
        operation["responses"][status.to_string()] = problems::response(*status, codes);
    }
}

/// Takes out the problems that a handler names: their description is their codes.
fn own_codes(operation: &mut Value) -> Codes {
    let mut codes = Codes::new();
    let Some(responses) = operation["responses"].as_object_mut() else { return codes };
    responses.retain(|status, response| {
        let Some(status) = status.parse().ok().filter(|status| *status >= 400) else { return true };
        let named = response["description"].as_str().unwrap_or_default().split(", ").map(str::to_owned);
        codes.entry(status).or_default().extend(named);
        false
    });
    codes
}

/// The keys that open it; a platform key does where a tenant's does, once it names the tenant.
fn who_may(operation: &mut Value, codes: &mut Codes) {
    let Some((scheme, roles)) = operation["security"][0].as_object().and_then(|need| need.iter().next()) else {
        operation["security"] = json!([]);
        return;
    };
    let (scheme, roles) = (scheme.clone(), roles.clone());
    for kind in
        [kinds::UNAUTHENTICATED, kinds::INVALID_QUERY, kinds::RATE_LIMITED, kinds::UNAVAILABLE, kinds::CONTENDED]
    {
        add(codes, kind);
    }
    let story = match scheme.as_str() {
        "platform_key" => {
            add(codes, kinds::MISSING_ROLE);
            "Takes a platform key.".to_owned()
        }
        "any_key" => {
            operation["security"] = json!([{ "api_key": [] }, { "platform_key": [] }]);
            "Takes any key.".to_owned()
        }
        _ => {
            for kind in [kinds::MISSING_ROLE, kinds::OTHER_TENANT, kinds::INVALID_TENANT_HEADER, kinds::NOT_THERE] {
                add(codes, kind);
            }
            operation["security"] = json!([{ "api_key": roles }, { "platform_key": [] }]);
            parameters(operation).push(json!({ "$ref": "#/components/parameters/Tenant" }));
            format!("Takes a key with the role `{}`, or a platform key.", roles[0].as_str().unwrap_or_default())
        }
    };
    let told = operation["description"].as_str().map(|told| format!("{told}\n\n")).unwrap_or_default();
    operation["description"] = format!("{told}{story}").into();
}

/// `Option<Body>` stands for a body that may be left out, not for `null`.
fn body_may_be_missing(operation: &mut Value) {
    let schema = &mut operation["requestBody"]["content"]["application/json"]["schema"];
    let body =
        schema["oneOf"].as_array().and_then(|either| either.iter().find(|one| one.get("$ref").is_some())).cloned();
    if let Some(body) = body {
        *schema = body;
        operation["requestBody"]["required"] = false.into();
    }
}

fn id_in_path(path: &str, operation: &mut Value, codes: &mut Codes) {
    let noun = path.split('/').nth(2).unwrap_or_default();
    let id = IDS.iter().find(|(own, _)| *own == noun && path.contains("{id}"));
    let (name, schema) = match id {
        Some((_, schema)) => ("id", json!({ "$ref": format!("#/components/schemas/{schema}") })),
        None => ("name", json!({ "type": "string" })),
    };
    add(codes, kinds::INVALID_ID);
    add(codes, kinds::NOT_THERE);
    let parameters = parameters(operation);
    parameters.retain(|parameter| parameter["in"] != "path");
    parameters.insert(0, json!({ "name": name, "in": "path", "required": true, "schema": schema }));
}

/// A success names its request, and a list its next page.
fn success(response: &mut Value) {
    let list =
        response["content"]["application/json"]["schema"]["$ref"].as_str().is_some_and(|name| name.ends_with("List"));
    if response["content"].is_null()
        && let Some(response) = response.as_object_mut()
    {
        response.remove("content");
    }
    if !response["headers"].is_object() {
        response["headers"] = json!({});
    }
    response["headers"]["X-Request-Id"] = json!({ "$ref": "#/components/headers/RequestId" });
    if list {
        response["headers"]["Link"] = json!({ "$ref": "#/components/headers/Link" });
    }
}

/// `List_Webhook` is a `WebhookList`.
fn rename_lists(document: &mut Value) {
    let mut text = document.to_string();
    for (name, _) in members(&mut document["components"]["schemas"]) {
        if let Some(noun) = name.strip_prefix(LIST) {
            text = text.replace(&format!("{name}\""), &format!("{noun}List\""));
        }
    }
    // What was JSON with other names is JSON.
    *document = serde_json::from_str(&text).unwrap_or_default();
}

fn parameters(operation: &mut Value) -> &mut Vec<Value> {
    let parameters = &mut operation["parameters"];
    if !parameters.is_array() {
        *parameters = Value::Array(Vec::new());
    }
    match parameters {
        Value::Array(parameters) => parameters,
        _ => unreachable!("it was made an array"),
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(Map::iter_mut)
}
