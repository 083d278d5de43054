use futures_util::StreamExt;
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

#[tokio::test]
async fn the_status_holds_everything_and_no_secret() {
    let digest = "ab".repeat(32);
    let file = format!("[auth]\nkeys = [{{ name = \"ops\", sha256 = \"{digest}\", scopes = [\"admin\"] }}]\n");
    let app = testing::app(&file).await;
    app.door.auth.replace(Vec::new());
    let client = testing::client(&app);
    let (status, body) = testing::json(client.get("/api/admin/status").send().await).await;
    assert_eq!(
        (status, &body["state"], &body["models"][0]["key"]),
        (200, &json!("ready"), &json!("qwen"))
    );
    for field in [
        "seq",
        "time",
        "gpu_monitor",
        "gpus",
        "dependencies",
        "operations",
        "hf_token",
        "requests",
    ] {
        assert!(!body[field].is_null(), "{field}");
    }
    assert_eq!(
        body["requests"]["active"][0]["route"], "/api/admin/status",
        "the question itself"
    );
    let (_, config) = testing::json(client.get("/api/admin/config").send().await).await;
    assert_eq!(config["values"]["auth"]["keys"][0]["sha256"], "***");
    assert!(!config.to_string().contains(&digest) && !body.to_string().contains(&digest));
}

#[tokio::test]
async fn gpus_their_history_and_dependencies_are_told() {
    let client = testing::client(&testing::app("").await);
    let (status, body) = testing::json(client.get("/api/admin/gpus").send().await).await;
    assert!(status == 200 && body["gpu_monitor"]["available"].is_boolean());
    let (_, history) = testing::json(client.get("/api/admin/gpus/history?window=60&step=5").send().await).await;
    assert!(
        history["step_seconds"].as_u64().is_some_and(|step| step >= 5),
        "{history}"
    );
    let points = history["host"]["cpu_percent"].as_array().map(Vec::len);
    assert_eq!(points, history["process"]["rss_bytes"].as_array().map(Vec::len));
    for (query, param) in [
        ("window=5", "window"),
        ("window=86400&step=1", "step"),
        ("step=0", "step"),
    ] {
        let path = format!("/api/admin/gpus/history?{query}");
        let (status, body) = testing::json(client.get(path).send().await).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!(param)), "{query}");
    }
    let (_, found) = testing::json(client.get("/api/admin/dependencies").send().await).await;
    assert!(
        found["dependencies"]
            .as_array()
            .is_some_and(|found| found.iter().any(|one| one["name"] == "hub"))
    );
}

#[tokio::test]
async fn a_drained_server_refuses_new_inference_until_it_is_undone() {
    let client = testing::client(&testing::app("").await);
    let (_, body) = testing::json(client.post("/api/admin/drain").send().await).await;
    assert_eq!(body, json!({"state": "draining"}));
    assert_eq!(testing::json(client.get("/readyz").send().await).await.0, 503);
    let (_, body) = testing::json(client.delete("/api/admin/drain").send().await).await;
    assert_eq!(body, json!({"state": "ready"}));
    assert_eq!(testing::json(client.get("/readyz").send().await).await.0, 200);
}

#[tokio::test]
async fn the_hubs_token_is_stored_told_by_its_ends_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "[storage]\noffline = true\nmodels_dir = {:?}\n",
        folder.path().display().to_string()
    );
    let client = testing::client(&testing::app(&file).await);
    let token = "hf_abcdefghijklmnopqrstuvwxyz";
    let body = json!({"token": token, "verify": false});
    let (status, stored) = testing::json(client.put("/api/admin/hf-token").body_json(&body).send().await).await;
    assert_eq!(
        (status, &stored["present"], &stored["source"]),
        (200, &json!(true), &json!("file"))
    );
    assert!(!stored.to_string().contains(token));
    let (status, refused) = testing::json(client.post("/api/admin/hf-token/verify").send().await).await;
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("offline")));
    let (_, cleared) = testing::json(client.delete("/api/admin/hf-token").send().await).await;
    assert_eq!(cleared["present"], false);
    let (status, none) = testing::json(client.post("/api/admin/hf-token/verify").send().await).await;
    assert_eq!((status, &none["error"]["code"]), (409, &json!("no_token")));
    let bad = json!({"token": "short"});
    let (status, wrong) = testing::json(client.put("/api/admin/hf-token").body_json(&bad).send().await).await;
    assert_eq!(
        (status, &wrong["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
}

type Bytes = futures_util::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>;

fn stream(response: poem::test::TestResponse) -> Bytes {
    response.0.into_body().into_bytes_stream().boxed()
}

/// The name and number of the next event of a stream; each comes as one piece.
async fn event(stream: &mut Bytes) -> (String, u64) {
    loop {
        let piece = tokio::time::timeout(std::time::Duration::from_secs(5), stream.next()).await;
        let piece = piece.expect("an event in 5 s").unwrap().unwrap();
        let text = std::str::from_utf8(&piece).unwrap();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        if let (Some(name), Some(id)) = (field("event: "), field("id: ")) {
            return (name, id.parse().unwrap());
        }
    }
}

#[tokio::test]
async fn events_begin_with_a_snapshot_and_go_on_where_a_reader_was() {
    let app = testing::app("").await;
    let client = testing::client(&app);
    let first = client.get("/api/admin/events").send().await;
    first.assert_content_type("text/event-stream");
    app.events.push("log", "{}");
    let mut first = stream(first);
    let (name, seq) = event(&mut first).await;
    assert_eq!(
        (name.as_str(), seq),
        ("snapshot", app.events.seq()),
        "what came before is in the snapshot"
    );
    app.events.push("model", "{\"key\":\"qwen\"}");
    app.events.push("sample", "{}");
    assert_eq!(event(&mut first).await, ("model".to_owned(), seq + 1));
    assert_eq!(event(&mut first).await, ("sample".to_owned(), seq + 2));

    let again = client
        .get("/api/admin/events")
        .header("last-event-id", (seq + 1).to_string())
        .send()
        .await;
    assert_eq!(event(&mut stream(again)).await, ("sample".to_owned(), seq + 2));
    let old = client
        .get("/api/admin/events?topics=model")
        .header("last-event-id", "7")
        .send()
        .await;
    assert_eq!(event(&mut stream(old)).await.0, "snapshot", "of an earlier life");
    let unknown = client.get("/api/admin/events?topics=colour").send().await;
    assert_eq!(testing::json(unknown).await.0, 400);
}

#[tokio::test]
async fn at_most_thirty_two_streams_of_events_are_open() {
    let client = testing::client(&testing::app("").await);
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(client.get("/api/admin/events").send().await);
    }
    let refused = client.get("/api/admin/events").send().await;
    refused.assert_header("retry-after", "5");
    assert_eq!(testing::json(refused).await.0, 429);
    open.pop();
    client.get("/api/admin/events").send().await.assert_status_is_ok();
}

#[tokio::test]
async fn what_happens_to_a_model_is_told_and_the_end_too() {
    let app = testing::app("").await;
    let (_log, warnings) = tokio::sync::broadcast::channel(4);
    let pumping = tokio::spawn(crate::events::pump(app.clone(), warnings));
    tokio::task::yield_now().await;
    let client = testing::client(&app);
    let mut told = stream(
        client
            .get("/api/admin/events?topics=operation,dependencies,shutdown")
            .send()
            .await,
    );
    assert_eq!(event(&mut told).await.0, "snapshot");
    let handle = app.registry.get("qwen").unwrap();
    let operation = handle.load(inferkit::LoadOptions::default()).unwrap();
    handle.wait(&operation.id).await.unwrap();
    assert_eq!(event(&mut told).await.0, "operation");
    client.get("/api/admin/dependencies").send().await.assert_status_is_ok();
    while event(&mut told).await.0 != "dependencies" {}
    app.life().stop();
    pumping.await.unwrap();
    while event(&mut told).await.0 != "shutdown" {}
    assert!(told.next().await.is_none(), "the stream ends with the server");
}
