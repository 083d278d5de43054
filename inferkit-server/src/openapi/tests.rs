use std::collections::BTreeSet;

use poem_openapi::OpenApi;
use serde_json::Value;

use super::*;
use crate::routes::ROUTES;
use crate::routes::Scope;
use crate::testing;

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

fn parsed() -> Value {
    serde_json::from_str(&document().unwrap()).unwrap()
}

/// Every operation: path, method, and itself.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = METHODS
            .iter()
            .filter_map(|method| Some((path.clone(), (*method).to_owned(), item.get(*method)?.clone())));
        methods.collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../doc/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == document().unwrap(),
        "doc/openapi.json differs: run `cargo run -p inferkit-server -- openapi --out doc/openapi.json` and commit it"
    );
}

#[test]
fn no_operation_is_lost_on_the_way_into_the_document() {
    let declared: usize = Apis::meta()
        .iter()
        .flat_map(|api| &api.paths)
        .map(|path| path.operations.len())
        .sum();
    assert_eq!(operations(&parsed()).len(), declared);
}

#[test]
fn the_table_of_routes_and_the_document_name_the_same_operations() {
    let table: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| !route.operation.is_empty())
        .map(|route| (route.operation.to_owned(), route.method.as_str().to_lowercase()))
        .collect();
    let documented: BTreeSet<(String, String)> = operations(&parsed())
        .into_iter()
        .map(|(_, method, operation)| (operation["operationId"].as_str().unwrap().to_owned(), method))
        .collect();
    assert_eq!(table, documented);
}

#[test]
fn every_operation_is_described_in_full() {
    for (path, method, operation) in operations(&parsed()) {
        let place = format!("{method} {path}");
        for field in ["operationId", "summary", "description"] {
            assert!(
                operation[field].as_str().is_some_and(|text| !text.is_empty()),
                "{place}: {field}"
            );
        }
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{place}: tag");
        for (status, answer) in operation["responses"].as_object().unwrap() {
            assert!(
                answer["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{place} {status}"
            );
            assert!(answer["headers"]["X-Request-Id"].is_object(), "{place} {status}");
            let error = answer["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/ErrorBody";
            let own_body = operation["operationId"] == "getReadiness";
            assert!(
                error || own_body || status.as_str() < "400",
                "{place} {status}: another body than ErrorBody"
            );
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{place}: {}", parameter["name"]);
        }
    }
}

#[test]
fn every_operation_that_needs_a_key_says_so() {
    for route in ROUTES.iter().filter(|route| !route.operation.is_empty()) {
        let documented = operations(&parsed());
        let (_, _, operation) = documented
            .iter()
            .find(|(_, _, operation)| operation["operationId"] == route.operation)
            .unwrap();
        let needs_key = route.scope != Scope::Public;
        assert_eq!(
            operation["security"] != serde_json::json!([]),
            needs_key,
            "{}",
            route.operation
        );
        assert_eq!(
            operation["responses"]["401"].is_object(),
            needs_key,
            "{}",
            route.operation
        );
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(value: &Value, document: &Value) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(
                document.pointer(reference.trim_start_matches('#')).is_some(),
                "{reference}"
            );
        }
        match value {
            Value::Object(object) => object.values().for_each(|value| check(value, document)),
            Value::Array(items) => items.iter().for_each(|value| check(value, document)),
            _ => {}
        }
    }
    let document = parsed();
    check(&document, &document);
}

#[test]
fn every_field_of_every_schema_is_described() {
    for (name, schema) in parsed()["components"]["schemas"].as_object().unwrap() {
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            let described =
                about["description"].is_string() || about.get("$ref").is_some() || about["allOf"].is_array();
            assert!(described, "{name}.{field}");
        }
    }
}

#[tokio::test]
async fn document_and_page_are_served_without_anything_from_outside() {
    let client = testing::client(&testing::app("").await);
    let response = client.get("/openapi.json").send().await;
    response.assert_content_type("application/json");
    response.assert_text(document().unwrap()).await;
    let page = client
        .get("/docs")
        .send()
        .await
        .0
        .into_body()
        .into_string()
        .await
        .unwrap();
    assert!(
        page.contains("x-inferkit-scope"),
        "the page shows the polished document"
    );
    assert!(
        !page.contains("src=\"http") && !page.contains("href=\"http"),
        "nothing from outside"
    );
}

#[tokio::test]
async fn a_server_without_docs_does_not_serve_them() {
    let client = testing::client(&testing::app("[server]\ndocs = false\n").await);
    client
        .get("/openapi.json")
        .send()
        .await
        .assert_status(poem::http::StatusCode::NOT_FOUND);
    client
        .get("/docs")
        .send()
        .await
        .assert_status(poem::http::StatusCode::NOT_FOUND);
}
