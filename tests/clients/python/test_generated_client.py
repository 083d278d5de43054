"""A client generated from doc/openapi.json by openapi-python-client imports whole and holds a conversation."""

import compileall
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[3] / "doc" / "openapi.json"
NAME = "generated_inferkit_client"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    tools = Path(sys.executable).parent
    command = [tools / "openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none", "--fail-on-warning"]
    # The generator formats what it wrote with the ruff beside it.
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    made = subprocess.run(
        [*command, "--output-path", folder / NAME], env=environment, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield importlib.import_module(NAME)
    sys.path.remove(str(folder))


def test_every_operation_of_the_document_became_a_module_that_imports(generated):
    assert compileall.compile_dir(generated.__path__[0], quiet=1)
    modules = [module.name for module in pkgutil.walk_packages(generated.__path__, f"{NAME}.")]
    for name in modules:
        importlib.import_module(name)
    operations = DOCUMENT.read_text().count('"operationId"')
    functions = [name for name in modules if name.split(".")[1] == "api" and name.count(".") == 3]
    assert len(functions) == operations


def test_the_generated_client_gets_an_answer_and_an_error_as_its_own_types(generated, base_url):
    client = generated.AuthenticatedClient(base_url=base_url, token=os.environ["INFERKIT_TEST_KEY"], timeout=120)
    models = importlib.import_module(f"{NAME}.models")
    chat = importlib.import_module(f"{NAME}.api.openai.create_chat_completion")
    body = {
        "model": "qwen",
        "messages": [{"role": "user", "content": "What is the capital of France? Answer in one short sentence."}],
        "max_tokens": 24,
        "temperature": 0,
    }
    answer = chat.sync(client=client, body=models.ChatCompletionRequest.from_dict(body))
    assert isinstance(answer, models.ChatCompletion)
    assert "Paris" in answer.choices[0].message.content

    refused = chat.sync(client=client, body=models.ChatCompletionRequest.from_dict(body | {"model": "nobody"}))
    assert isinstance(refused, models.ErrorBody)
    assert refused.error.code == "model_not_found"
