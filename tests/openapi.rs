//! The API's description: what it says is what is there, and the committed file is what it says.

use std::collections::BTreeSet;

use serde_json::Value;
use tidings::api::openapi::document;
use tidings::dialect::{Dialects, Profile};

use crate::support::World;

fn described() -> Value {
    document(&Dialects::builtin().expect("built-in dialects"))
}

/// Every operation, with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations");
            methods.iter().map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        })
        .collect()
}

#[test]
fn the_committed_description_is_the_present_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    assert!(
        committed == described(),
        "docs/openapi.json is not what the code says; renew it: cargo run -- openapi > docs/openapi.json"
    );
}

/// Or a dialect's alias could take the place of the secret, which is shown this once.
#[test]
fn no_alias_of_a_dialect_has_the_name_of_a_member_of_the_answer_to_a_registration() {
    let schemas = described()["components"]["schemas"].clone();
    let own = schemas["WebhookWithSecrets"]["allOf"].as_array().expect("parts").clone();
    let parts = own.iter().chain([&schemas["Webhook"]]).filter_map(|part| part["properties"].as_object());
    let members: Vec<_> = parts.flat_map(|properties| properties.keys()).collect();
    assert!(members.len() == 20 && members.iter().any(|member| *member == "signing_secret"), "{members:?}");
    for member in members {
        let file = include_str!("../config/dialects/standard.toml");
        let file = format!("{file}\n[registration.aliases]\n{member} = \"id\"\n");
        let told = Profile::parse(&file).expect_err(member).to_string();
        assert!(told.contains(&format!("`registration.aliases.{member}` must have another name")), "{told}");
    }
}

#[test]
fn every_operation_says_who_what_and_how_it_fails() {
    let document = described();
    let mut ids = BTreeSet::new();
    let tags: Vec<_> = document["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id), "{name}: {id} is another operation's too");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.ends_with('.')), "{name} has a summary");
        assert!(
            operation["tags"].as_array().is_some_and(|own| own.len() == 1 && tags.contains(&&own[0])),
            "{name}: tag"
        );
        assert!(operation["security"].is_array(), "{name} says who may");
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let told =
                response["$ref"].is_string() || response["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(told, "{name} {status} has a description");
            let codes =
                response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
                    .clone();
            for code in codes.as_array().into_iter().flatten() {
                assert!(
                    document["components"]["examples"][code.as_str().expect("a code")].is_object(),
                    "{name}: {code}"
                );
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a reference within the document");
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|value| walk(value, document));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    let document = described();
    walk(&document, &document);
}

#[tokio::test]
async fn it_is_served_with_pages_that_load_nothing_from_elsewhere() {
    let world = World::new().await;
    let get = async |path: &str| world.send(world.request(reqwest::Method::GET, path)).await;
    assert_eq!(get("/openapi.json").await.expect(200), described());
    for page in
        ["/docs", "/docs/", "/docs/swagger-ui-bundle.js", "/docs/swagger-initializer.js", "/docs/swagger-ui.css"]
    {
        let answer = get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        let policy = answer.headers["content-security-policy"].to_str().expect("a policy");
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("http"), "{policy}");
    }
    let page = get("/docs/").await.text;
    assert!(page.contains("<title>Tidings API</title>"), "{page}");
    let elsewhere = page.split(['"', '\'']).find(|text| text.contains("//"));
    assert_eq!(elsewhere, None, "the page names something elsewhere");
    assert_eq!(get("/docs/nothing.js").await.status, 404);
}
