"""Admin routes as a deployer uses them, and what a client that leaves sets free."""

import time

import httpx
import openai
import pytest


def model(base_url: str, headers: dict[str, str], key: str = "qwen") -> dict:
    answer = httpx.get(f"{base_url}/api/admin/models/{key}", headers=headers)
    answer.raise_for_status()
    return answer.json()


def wait(base_url: str, headers: dict[str, str], operation: dict) -> dict:
    for _ in range(600):
        if operation["state"] in ("succeeded", "failed", "cancelled"):
            return operation
        time.sleep(0.1)
        operation = httpx.get(f"{base_url}/api/admin/operations/{operation['id']}", headers=headers).json()
    pytest.fail(f"the operation does not end: {operation}")


def test_a_model_is_unloaded_and_loaded_by_its_admin_routes(base_url, client, admin_headers):
    client.chat.completions.create(model="qwen", messages=[{"role": "user", "content": "Hi"}], max_tokens=1)
    assert model(base_url, admin_headers)["runtime_status"] == "loaded"

    answer = httpx.post(f"{base_url}/api/admin/models/qwen/unload", headers=admin_headers)
    assert answer.status_code in (200, 202)
    assert wait(base_url, admin_headers, answer.json())["state"] == "succeeded"
    unloaded = model(base_url, admin_headers)
    assert (unloaded["runtime_status"], unloaded["device"]) == ("unloaded", None)

    answer = httpx.post(f"{base_url}/api/admin/models/qwen/load", headers=admin_headers)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/admin/operations/{answer.json()['id']}"
    assert wait(base_url, admin_headers, answer.json())["state"] == "succeeded"
    loaded = model(base_url, admin_headers)
    assert (loaded["runtime_status"], loaded["device"]) == ("loaded", "cpu")
    assert loaded["memory"]["weights_bytes"] > 50_000_000

    again = httpx.post(f"{base_url}/api/admin/models/qwen/load", headers=admin_headers)
    assert (again.status_code, again.json()["changed"]) == (200, False)


def test_an_inference_key_does_not_reach_the_admin_routes(base_url, client):
    headers = {"Authorization": f"Bearer {client.api_key}"}
    answer = httpx.get(f"{base_url}/api/admin/status", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")


def test_the_status_tells_the_truth_in_a_hundred_milliseconds(base_url, admin_headers):
    httpx.get(f"{base_url}/api/admin/status", headers=admin_headers)
    answer = httpx.get(f"{base_url}/api/admin/status", headers=admin_headers)
    status = answer.json()
    assert answer.elapsed.total_seconds() < 0.1
    assert {"qwen", "canary", "pyannote"} <= {entry["key"] for entry in status["models"]}
    assert status["gpu_monitor"]["available"] is bool(status["gpus"])
    assert status["gpu_monitor"]["available"] or status["gpu_monitor"]["reason"]
    assert status["system"]["process"]["rss_bytes"] > 1_000_000


def test_events_begin_with_a_snapshot(base_url, admin_headers):
    with httpx.stream("GET", f"{base_url}/api/admin/events", headers=admin_headers, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = []
        for line in answer.iter_lines():
            lines.append(line)
            if line.startswith("data:"):
                break
    assert "event: snapshot" in lines or "event:snapshot" in lines


def test_a_client_that_leaves_frees_the_model(base_url, client, admin_headers):
    stream = client.chat.completions.create(
        model="qwen", messages=[{"role": "user", "content": "Tell a very long story."}], max_tokens=1500,
        stream=True, extra_body={"ignore_eos": True},
    )
    next(iter(stream))
    assert model(base_url, admin_headers)["active_requests"] == 1
    stream.response.close()
    for _ in range(20):
        if model(base_url, admin_headers)["active_requests"] == 0:
            return
        time.sleep(0.05)
    pytest.fail("the request goes on after its client has left")


def test_every_answer_carries_a_request_id_and_the_one_error_body(base_url, admin_headers):
    for method, path, code in [
        ("GET", "/nowhere", "unknown_url"),
        ("GET", "/v1/chat/completions", "method_not_allowed"),
        ("POST", "/v1/chat/completions", "unsupported_media_type"),
    ]:
        answer = httpx.request(method, f"{base_url}{path}", headers=admin_headers, content=b"x" if method == "POST" else None)
        error = answer.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, path
        assert error["code"] == code
        assert answer.headers["x-request-id"].startswith("req_")
    mine = httpx.get(f"{base_url}/healthz", headers={"X-Request-Id": "mine.1"})
    assert mine.headers["x-request-id"] == "mine.1"


def test_the_served_document_is_the_committed_one_and_valid(base_url):
    import json
    import pathlib

    import openapi_spec_validator

    served = httpx.get(f"{base_url}/openapi.json").json()
    committed = json.loads((pathlib.Path(__file__).parents[3] / "doc" / "openapi.json").read_text())
    assert served == committed
    openapi_spec_validator.validate(served)


def test_the_asynchronous_client_streams_too(base_url):
    import asyncio
    import os

    async def talk() -> str:
        async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key=os.environ["INFERKIT_TEST_KEY"]) as client:
            stream = await client.chat.completions.create(
                model="qwen", messages=[{"role": "user", "content": "Say hello."}], max_tokens=8, stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(talk())
