//! Schemas that are taken, schemas that are not, and data that fits or does not.

use serde_json::{Value, json};

use super::*;

fn compile(schema: &Value) -> Result<Schema, Misfit> {
    Schema::compile(&schema.to_string())
}

fn refused(schema: &Value) -> (String, &'static str) {
    let misfit = compile(schema).expect_err(&schema.to_string());
    (misfit.pointer, misfit.code)
}

/// Pointers and codes of what does not fit.
fn misfits(schema: &Value, data: &str) -> Vec<(String, &'static str)> {
    let schema = compile(schema).expect("a schema");
    schema.check(data.as_bytes()).into_iter().map(|misfit| (misfit.pointer, misfit.code)).collect()
}

#[test]
fn what_does_not_fit_is_named_by_its_place() {
    let schema = json!({
        "type": "object",
        "required": ["id", "a/b"],
        "properties": {"id": {"type": "integer"}, "mail": {"format": "email"}, "items": {"items": {"$ref": "#/$defs/item"}}},
        "$defs": {"item": {"enum": ["x", "y"]}},
        "additionalProperties": false
    });
    let found = |data| misfits(&schema, data);
    assert_eq!(found(r#"{"id":1,"a/b":1,"a":2}"#).len(), 1, "one that is not allowed");
    let schema_violation = |pointer: &str| (pointer.to_owned(), "schema_violation");
    assert_eq!(
        found(r#"{"id":"1","mail":"no","items":["x","z"]}"#),
        ["/a~1b", "/id", "/mail", "/items/1"].map(schema_violation)
    );
    assert_eq!(found("[]"), [schema_violation("")]);
    let secret = compile(&schema).expect("a schema").check(br#"{"id":"hush-hush"}"#);
    assert!(!secret[0].detail.contains("hush"), "{secret:?}");
}

#[test]
fn data_without_one_meaning_is_refused_where_it_is() {
    let ambiguous = |pointer: &str| vec![(pointer.to_owned(), "ambiguous_data")];
    for (data, pointer) in [(r#"{"a":[{"b":1,"b":2}]}"#, "/a/0"), (r#"{"a":"\ud800"}"#, "/a"), ("[1,1e400]", "/1")] {
        let found = misfits(&json!({}), data);
        assert_eq!(found.len(), 1, "{data}");
        assert!(found[0].0.starts_with(pointer) && found[0].1 == ambiguous("")[0].1, "{data}: {found:?}");
    }
    for fine in ["18446744073709551616", "1e2", "1.0", r#""\u0000""#, "null"] {
        assert_eq!(misfits(&json!({}), fine), [], "{fine}");
    }
    assert_eq!(misfits(&json!({"type": "integer"}), "18446744073709551616"), []);
}

#[test]
fn nothing_is_fetched() {
    for target in [
        "https://example.com/a.json",
        "file:///etc/passwd",
        "a.json",
        "#name",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        let (pointer, code) = refused(&json!({"properties": {"a": {"$ref": target}}}));
        assert_eq!((pointer.as_str(), code), ("/properties/a/$ref", "remote_reference"), "{target}");
    }
    assert_eq!(refused(&json!({"$ref": "#/$defs/none"})).1, "dangling_reference");
    assert_eq!(refused(&json!({"$defs": {"a": {"$id": "https://b.example/"}}})).1, "nested_id");
    assert_eq!(refused(&json!({"$dynamicRef": "#a"})).1, "dynamic_reference");
    compile(&json!({"$id": "https://a.example/", "$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "null"}}}))
        .expect("local");
    compile(&json!({"properties": {"$ref": {"type": "string"}}})).expect("a member of that name");
}

#[test]
fn what_could_take_for_ever_is_refused() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"properties": {"child": {"$ref": "#/properties/child"}}}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/%24defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
        json!({"$ref": "#/x/const", "x": {"const": {"allOf": [{"$ref": "#/x/const"}]}}}),
    ] {
        assert_eq!(refused(&schema).1, "recursive_schema", "{schema}");
    }
    // Each level doubles the one below.
    let mut levels = serde_json::Map::new();
    for level in 0..40 {
        let below = json!({"$ref": format!("#/$defs/{}", level + 1)});
        levels.insert(level.to_string(), json!({"allOf": [below, below]}));
    }
    levels.insert("40".into(), json!({"type": "string"}));
    assert_eq!(refused(&json!({"$ref": "#/$defs/0", "$defs": levels})).1, "too_complex");
    let mut chain = serde_json::Map::new();
    for link in 0..500 {
        chain.insert(link.to_string(), json!({"items": {"$ref": format!("#/$defs/{}", link + 1)}}));
    }
    chain.insert("500".into(), json!({}));
    assert_eq!(refused(&json!({"$ref": "#/$defs/0", "$defs": chain})).1, "too_complex");
    let patterns: Vec<_> = (0..101).map(|n| json!({"pattern": format!("a{n}")})).collect();
    assert_eq!(refused(&json!({"anyOf": patterns})).1, "too_complex");
    assert_eq!(refused(&json!({"description": "x".repeat(MAX_BYTES)})).1, "too_large");
}

#[test]
fn what_is_no_schema_is_refused() {
    for schema in [
        json!({"type": "strin"}),
        json!({"pattern": "("}),
        json!({"pattern": "(?=a)b"}),
        json!({"pattern": "(((a{1000}){1000}){1000})"}),
        json!({"required": "a"}),
        json!({"$schema": "https://example.com/mine"}),
        json!([]),
        json!("x"),
    ] {
        assert_eq!(refused(&schema).1, "invalid_schema", "{schema}");
    }
    assert_eq!(Schema::compile(r#"{"type":"string","type":"null"}"#).expect_err("twice").code, "ambiguous_data");
    for schema in [json!(true), json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "string"})] {
        compile(&schema).expect("a schema");
    }
}

#[test]
fn a_weight_counts_what_is_referred_to_each_time() {
    let weight = |schema: Value| compile(&schema).expect("a schema").weight();
    assert_eq!(weight(json!({})), 1);
    let shared =
        json!({"properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"not": {}}}});
    assert_eq!(weight(shared), 1 + 2 * (1 + 2) + 2);
    assert_eq!(values(br#"{"a":[1,2,{"b":"x"}]}"#), 6);
}

#[test]
fn what_would_take_much_memory_is_refused_and_sized_where_it_was_taken_before() {
    let all_of = |count: u32, one: &dyn Fn(u32) -> Value| json!({"allOf": (0..count).map(one).collect::<Vec<_>>()});
    let mut nested = all_of(500, &|_| json!({"type": "null"}));
    for _ in 0..80 {
        nested = json!({"not": nested});
    }
    // With the bytes that each was measured to take.
    for (large, measured) in [
        (all_of(30, &|n| json!({"pattern": format!("^\\p{{L}}{{1,5}}a{n}$")})), 7_491_865),
        (json!({"properties": {"/".repeat(5_000): all_of(600, &|_| json!({"minimum": 1}))}}), 18_391_584),
        (nested, 19_715_272),
    ] {
        assert_eq!(refused(&large).1, "too_complex");
        let stored = Schema::compile_stored(&large.to_string()).expect("it was taken");
        assert!((measured..3 * measured).contains(&stored.size()), "{} of {measured}", stored.size());
    }
    for (usual, measured) in [
        (json!({"enum": vec![json!({"a": 1}); 8_000]}), 6_992_496),
        (all_of(2_400, &|_| json!({"minimum": 1, "maximum": 2})), 1_843_152),
        (json!({"const": vec![json!([1]); 16_000]}), 2_304_464),
        (json!({"properties": {"id": {"type": "string", "minLength": 1}}, "required": ["id"]}), 1_232),
    ] {
        let size = compile(&usual).expect("a schema").size();
        assert!(size >= measured && size < 8 * measured, "{size} of {measured}");
    }
    let simple = all_of(100, &|n| json!({"pattern": format!("^([a-z]+)[0-9]{{1,{}}}$", n + 1)}));
    assert!((1_603_788..MAX_SIZE).contains(&compile(&simple).expect("a hundred patterns").size()));
}
