"""What the client tests share: the address of the server under test and clients for it."""

import os

import openai
import pytest


@pytest.fixture(scope="session")
def base_url() -> str:
    return os.environ["INFERKIT_TEST_URL"]


@pytest.fixture(scope="session")
def client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key=os.environ["INFERKIT_TEST_KEY"], max_retries=0, timeout=120)


@pytest.fixture(scope="session")
def admin_headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ['INFERKIT_TEST_ADMIN_KEY']}"}
