use std::collections::BTreeMap;

use poem::Route as Router;
use poem::get;
use poem::handler;
use poem::http::StatusCode;
use poem::post;
use poem::test::TestClient;
use poem::test::TestResponse;
use poem::web::Data;

use super::*;
use crate::error::ErrorCode;
use crate::middleware::Key;

fn door() -> Door {
    Door {
        auth: Auth::default(),
        browser: BrowserRules::default(),
        life: Arc::default(),
        traffic: Arc::default(),
        max_audio_bytes: 64,
        max_audio_seconds: Duration::ZERO,
        max_json_bytes: 64,
        request_timeout: Some(Duration::from_mins(10)),
        reject_unknown: false,
        hsts: false,
    }
}

#[handler]
fn models() -> &'static str {
    "models"
}

#[handler]
fn model(request: &Request) -> String {
    request.path_params::<String>().unwrap_or_default()
}

#[handler]
fn panics() -> &'static str {
    panic!("a test's own panic")
}

#[handler]
async fn reads(body: Body) -> poem::Result<String> {
    Ok(body.into_string().await?)
}

#[handler]
async fn hangs() -> &'static str {
    std::future::pending().await
}

/// Hears a minute, and thinks for ever.
#[handler]
async fn hears(notes: Data<&Notes>) -> &'static str {
    notes.shorten_deadline(60.0);
    std::future::pending().await
}

fn client(door: Door) -> TestClient<Front<Router>> {
    let router = Router::new()
        .at("/v1/models", get(models))
        .at("/v1/models/:model", get(model))
        .at("/version", get(panics))
        .at("/v1/audio/transcriptions", post(hears))
        .at("/api/admin/models", get(hangs))
        .at("/api/admin/models/:key/load", post(reads));
    TestClient::new(Front::new(Arc::new(door), router)).default_header("host", "localhost")
}

/// Status, code and the headers of an error answer.
async fn error(response: TestResponse) -> (u16, String, BTreeMap<String, String>) {
    let status = response.0.status();
    assert_eq!(response.0.content_type(), Some("application/json"));
    let headers = response.0.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let body = response.json().await;
    let error = body.value().object().get("error").object();
    error.get("message").string();
    (status.as_u16(), error.get("code").string().to_owned(), headers)
}

#[tokio::test]
async fn every_answer_carries_an_id_and_the_safety_headers() {
    let response = client(door())
        .get("/v1/models")
        .header("x-request-id", "mine-1")
        .send()
        .await;
    response.assert_status_is_ok();
    response.assert_header("x-request-id", "mine-1");
    response.assert_header("cache-control", "no-store");
    response.assert_header("x-content-type-options", "nosniff");
    response.assert_header_is_not_exist("x-inferkit-ignored");
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_told_in_json() {
    let client = client(door());
    let (status, code, headers) = error(client.get("/v1/files").send().await).await;
    assert_eq!((status, code.as_str()), (404, "unknown_url"));
    assert!(headers["x-request-id"].starts_with("req_"));
    assert_eq!(error(client.get("/v1/models/").send().await).await.0, 404);
    let (status, code, headers) = error(client.delete("/v1/models").send().await).await;
    assert_eq!(
        (status, code.as_str(), headers["allow"].as_str()),
        (405, "method_not_allowed", "GET, HEAD")
    );
    let (status, _, headers) = error(client.get("/api/admin/models/x/load").send().await).await;
    assert_eq!((status, headers["allow"].as_str()), (405, "POST"));
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let response = client(door()).head("/v1/models").send().await;
    response.assert_status_is_ok();
    response.assert_header("content-length", "6");
    response.assert_text("").await;
}

#[tokio::test]
async fn a_model_name_may_hold_an_encoded_or_a_plain_slash() {
    let client = client(door());
    client
        .get("/v1/models/Qwen%2FQwen3")
        .send()
        .await
        .assert_text("Qwen/Qwen3")
        .await;
    client
        .get("/v1/models/Qwen/Qwen3")
        .send()
        .await
        .assert_text("Qwen/Qwen3")
        .await;
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing() {
    let response = client(door()).get("/version").send().await;
    let text = response.0.into_body().into_string().await.unwrap();
    assert!(
        text.contains("internal_error") && !text.contains("test's own"),
        "{text}"
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_declared_or_counted() {
    let client = client(door());
    let path = "/api/admin/models/x/load";
    client
        .post(path)
        .body("x".repeat(64))
        .send()
        .await
        .assert_status_is_ok();
    let declared = client
        .post(path)
        .header("content-length", "65")
        .body("x".repeat(65))
        .send()
        .await;
    assert_eq!(error(declared).await.1, "payload_too_large");
    let chunks = futures_util::stream::iter(vec![Ok::<_, std::io::Error>("x".repeat(40)), Ok("x".repeat(40))]);
    let (status, code, headers) = error(client.post(path).body(Body::from_bytes_stream(chunks)).send().await).await;
    assert_eq!(
        (status, code.as_str(), headers["connection"].as_str()),
        (413, "payload_too_large", "close")
    );
}

#[tokio::test]
async fn a_head_over_sixteen_kibibytes_is_refused() {
    let response = client(door())
        .get("/v1/models")
        .header("x-long", "x".repeat(17_000))
        .send()
        .await;
    let (status, code, _) = error(response).await;
    assert_eq!((status, code.as_str()), (431, "headers_too_large"));
}

#[tokio::test]
async fn keys_are_checked_before_anything_is_read() {
    let auth = Auth::new(vec![Key::from_secret("app", "ik_app", Scope::Inference)]);
    let client = client(Door { auth, ..door() });
    let (status, _, headers) = error(client.get("/v1/models").send().await).await;
    assert_eq!(
        (status, headers["www-authenticate"].as_str()),
        (401, "Bearer realm=\"inferkit\"")
    );
    let response = client
        .get("/v1/models")
        .header("authorization", "Bearer ik_app")
        .send()
        .await;
    response.assert_status_is_ok();
    let long = client
        .post("/api/admin/models/x/load")
        .header("authorization", "Bearer ik_app");
    let (status, code, headers) = error(long.body("x".repeat(1000)).send().await).await;
    assert_eq!(
        (status, code.as_str(), headers["connection"].as_str()),
        (403, "insufficient_scope", "close")
    );
}

#[tokio::test]
async fn a_draining_server_still_tells_and_a_stopping_one_does_not() {
    let door = door();
    let life = door.life.clone();
    let client = client(door);
    life.set_draining(true);
    client.get("/v1/models").send().await.assert_status_is_ok();
    life.stop();
    let (status, code, headers) = error(client.get("/v1/models").send().await).await;
    assert_eq!(
        (status, code.as_str(), headers["retry-after"].as_str()),
        (503, "server_shutting_down", "5")
    );
    assert_eq!(headers["connection"], "close");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_ended() {
    let (status, code, headers) = error(client(door()).get("/api/admin/models").send().await).await;
    assert_eq!((status, code.as_str()), (504, "request_deadline_exceeded"));
    assert_eq!(headers["x-should-retry"], "false");
}

#[tokio::test(start_paused = true)]
async fn a_recording_buys_its_own_length_of_time_and_no_more() {
    let door = Door {
        max_audio_seconds: Duration::from_hours(1),
        ..door()
    };
    let begun = Instant::now();
    let (status, ..) = error(client(door).post("/v1/audio/transcriptions").send().await).await;
    assert_eq!((status, begun.elapsed().as_secs()), (504, 660));
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_answer_was_read() {
    let door = door();
    let traffic = door.traffic.clone();
    let response = client(door).get("/v1/models").send().await;
    assert_eq!(traffic.in_flight(), 1);
    assert_eq!(response.0.status(), StatusCode::OK);
    drop(response);
    assert_eq!((traffic.in_flight(), traffic.summary().recent[0].status), (0, 200));
}

#[tokio::test]
async fn an_answer_with_an_error_carries_its_code_for_the_access_log() {
    let client = client(door());
    let code = |answer: TestResponse| answer.0.data::<ErrorCode>().map(|code| code.0);
    assert_eq!(code(client.get("/nope").send().await), Some("unknown_url"));
    assert_eq!(code(client.post("/v1/models").send().await), Some("method_not_allowed"));
    assert_eq!(code(client.get("/v1/models").send().await), None);
}
