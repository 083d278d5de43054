"""The official client, unmodified, has recordings written down in every format.

Needs a transcriber and a recording of English speech: INFERKIT_TEST_TRANSCRIBER and INFERKIT_TEST_RECORDING.
"""

import os
import re
from pathlib import Path

import openai
import pytest

MODEL = os.environ.get("INFERKIT_TEST_TRANSCRIBER", "")
RECORDING = os.environ.get("INFERKIT_TEST_RECORDING", "")

pytestmark = pytest.mark.skipif(not (MODEL and RECORDING), reason="no transcriber and no recording are named")


def transcribe(client: openai.OpenAI, **options):
    return client.audio.transcriptions.create(**{"model": MODEL, "file": Path(RECORDING), "language": "en"} | options)


def test_json_holds_text_and_the_seconds_heard(client):
    answer = transcribe(client)
    assert answer.text.strip()
    assert answer.usage.type == "duration" and answer.usage.seconds > 0


def test_text_is_the_same_as_in_json(client):
    assert transcribe(client, response_format="text") == transcribe(client).text + "\n"


def test_subtitles_are_text_with_times(client):
    assert re.match(r"1\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n\S", transcribe(client, response_format="srt"))
    assert re.match(r"WEBVTT\n\n\d\d:\d\d:\d\d\.\d{3} --> ", transcribe(client, response_format="vtt"))


def test_verbose_json_has_segments_in_order(client):
    answer = transcribe(client, response_format="verbose_json", timestamp_granularities=["segment"])
    assert answer.language == "english" and answer.duration > 0
    times = [(segment.start, segment.end) for segment in answer.segments]
    assert times == sorted(times) and all(start <= end <= answer.duration for start, end in times)
    assert answer.text == " ".join(segment.text for segment in answer.segments)


def test_the_deltas_of_a_stream_concatenate_to_its_last_event(client):
    events = list(transcribe(client, stream=True))
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert events[-1].type == "transcript.text.done" and events[-1].text == deltas
    assert deltas.strip()


def test_log_probabilities_spell_the_text(client):
    answer = transcribe(client, include=["logprobs"])
    assert "".join(entry.token for entry in answer.logprobs).strip() == answer.text
    assert all(entry.logprob <= 0 and bytes(entry.bytes).decode() == entry.token for entry in answer.logprobs)
    *_, done = transcribe(client, include=["logprobs"], stream=True)
    assert [entry.token for entry in done.logprobs] == [entry.token for entry in answer.logprobs]


def test_a_translation_is_english_or_refused_by_name(client):
    try:
        answer = client.audio.translations.create(model=MODEL, file=Path(RECORDING), response_format="verbose_json")
    except openai.BadRequestError as error:
        assert error.code in ("unsupported_model_task", "unsupported_value")
    else:
        assert answer.language == "english"


def test_what_is_no_recording_is_refused(client):
    with pytest.raises(openai.BadRequestError) as caught:
        transcribe(client, file=("speech.wav", b"This is a text. " * 100))
    assert (caught.value.code, caught.value.param) == ("invalid_audio", "file")


def test_an_unknown_language_is_refused_with_those_that_are_known(client):
    with pytest.raises(openai.BadRequestError) as caught:
        transcribe(client, language="xx")
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "language")
    assert "en" in caught.value.message
