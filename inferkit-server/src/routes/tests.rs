use poem::test::TestClient;
use serde_json::Value;
use serde_json::json;

use crate::testing;

async fn get(path: &str) -> (u16, Value) {
    testing::json(testing::client(&testing::app("").await).get(path).send().await).await
}

#[tokio::test]
async fn probes_are_answered_without_a_host_name_of_ours() {
    let app = testing::app("").await;
    let client = TestClient::new(app.endpoint()).default_header("host", "probe.example");
    for path in ["/healthz", "/health", "/readyz"] {
        client.get(path).send().await.assert_status_is_ok();
    }
    client
        .get("/version")
        .send()
        .await
        .assert_status(poem::http::StatusCode::FORBIDDEN);
    app.life().set_draining(true);
    let (status, body) = testing::json(client.get("/readyz").send().await).await;
    assert_eq!((status, body), (503, json!({"status": "draining", "waiting_for": []})));
}

#[tokio::test]
async fn models_are_listed_and_found_by_any_of_their_names() {
    let (status, body) = get("/v1/models").await;
    assert_eq!((status, &body["object"]), (200, &json!("list")));
    assert_eq!(body["data"][0]["owned_by"], "Qwen");
    for name in ["qwen", "gpt-4o-mini", "Qwen/Qwen3-8B", "Qwen%2FQwen3-8B"] {
        let (status, body) = get(&format!("/v1/models/{name}")).await;
        assert_eq!(
            (status, &body["id"], &body["root"]),
            (200, &json!("qwen"), &json!("Qwen/Qwen3-8B")),
            "{name}"
        );
    }
    let (status, body) = get("/v1/models/x").await;
    assert_eq!(status, 404);
    let example: Value = serde_json::from_str(include_str!("../openapi/examples/model_not_found.json")).unwrap();
    assert_eq!(body, example, "the document's example");
}

#[tokio::test]
async fn a_model_is_loaded_told_and_unloaded() {
    let app = testing::app("").await;
    let client = testing::client(&app);
    let response = client.post("/api/admin/models/qwen/load").send().await;
    response.assert_status(poem::http::StatusCode::ACCEPTED);
    let location = response.0.header("location").unwrap().to_owned();
    let (_, operation) = testing::json(response).await;
    assert_eq!(
        (&operation["kind"], &operation["changed"]),
        (&json!("load"), &json!(true))
    );
    let id = operation["id"].as_str().unwrap();
    assert_eq!(location, format!("/api/admin/operations/{id}"));
    app.registry.get("qwen").unwrap().wait(id).await.unwrap();

    let (_, told) = testing::json(client.get(&location).send().await).await;
    assert_eq!(told["state"], "succeeded");
    let (_, model) = testing::json(client.get("/api/admin/models/qwen").send().await).await;
    assert_eq!(
        (&model["runtime_status"], &model["memory"]["weights_bytes"]),
        (&json!("loaded"), &json!(7))
    );
    assert_eq!(model["file_list"][0]["path"], "model.gguf");

    let again = client.post("/api/admin/models/qwen/load").send().await;
    again.assert_status_is_ok();
    assert_eq!(testing::json(again).await.1["changed"], false);
    let unload = json!({"force": true, "timeout_seconds": 1});
    let response = client
        .post("/api/admin/models/qwen/unload")
        .body_json(&unload)
        .send()
        .await;
    response.assert_status(poem::http::StatusCode::ACCEPTED);
    let (_, listed) = testing::json(client.get("/api/admin/operations?model=qwen&limit=1").send().await).await;
    assert_eq!(listed["operations"][0]["kind"], "unload");
}

#[tokio::test]
async fn a_wrong_body_of_an_action_names_its_field() {
    let client = testing::client(&testing::app("").await);
    let cases = [
        ("load", json!({"device": "gpu"}), "device", "invalid_value"),
        ("load", json!({"evict": "yes"}), "evict", "invalid_type"),
        (
            "unload",
            json!({"timeout_seconds": -1}),
            "timeout_seconds",
            "invalid_value",
        ),
        (
            "cancel",
            json!({"keep_partial": false}),
            "keep_partial",
            "unsupported_value",
        ),
    ];
    for (action, body, param, code) in cases {
        let response = client
            .post(format!("/api/admin/models/qwen/{action}"))
            .body_json(&body)
            .send()
            .await;
        let (status, body) = testing::json(response).await;
        assert_eq!(
            (status, &body["error"]["param"], &body["error"]["code"]),
            (400, &json!(param), &json!(code))
        );
    }
    let text = client
        .post("/api/admin/models/qwen/load")
        .content_type("text/plain")
        .body("{}")
        .send()
        .await;
    text.assert_header("accept-post", "application/json");
    text.assert_status(poem::http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let unknown = client
        .post("/api/admin/models/qwen/load")
        .body_json(&json!({"forse": true}))
        .send()
        .await;
    unknown.assert_header("x-inferkit-ignored", "forse");
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    for (path, code, param) in [
        ("/api/admin/models/x", "model_not_found", json!("key")),
        ("/api/admin/operations/op_1", "operation_not_found", Value::Null),
        ("/api/admin/operations?model=x", "model_not_found", json!("model")),
    ] {
        let (status, body) = get(path).await;
        assert_eq!(
            (status, &body["error"]["code"], &body["error"]["param"]),
            (404, &json!(code), &param)
        );
    }
    for (path, param) in [
        ("/api/admin/operations?limit=0", "limit"),
        ("/api/admin/operations?limit=x", "limit"),
    ] {
        let (status, body) = get(path).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)), "{path}");
    }
}
