"""The official client, unmodified, has recordings written down in every format, by each of the demo's transcribers.

Needs transcribers and a recording of English speech: INFERKIT_TEST_TRANSCRIBERS, keys with commas between them, and
INFERKIT_TEST_RECORDING. Where a diarizer is configured, INFERKIT_TEST_DIARIZER is its key.
"""

import os
import re
from pathlib import Path

import openai
import pytest

MODELS = [key for key in os.environ.get("INFERKIT_TEST_TRANSCRIBERS", "").split(",") if key]
RECORDING = os.environ.get("INFERKIT_TEST_RECORDING", "")
DIARIZER = os.environ.get("INFERKIT_TEST_DIARIZER", "")

pytestmark = pytest.mark.skipif(not (MODELS and RECORDING), reason="no transcriber and no recording are named")


@pytest.fixture(params=MODELS or ["none"])
def transcribe(request, client: openai.OpenAI):
    """Has the recording written down by one of the models."""

    def ask(**options):
        defaults = {"model": request.param, "file": Path(RECORDING), "language": "en"}
        return client.audio.transcriptions.create(**defaults | options)

    return ask


def spelt(numbers: list[float]) -> str:
    """The text of a token's bytes, which the client's types say are floats."""
    return bytes(int(number) for number in numbers).decode()


def deltas(events) -> str:
    return "".join(event.delta for event in events if event.type == "transcript.text.delta")


def test_json_holds_text_and_the_seconds_heard(transcribe):
    answer = transcribe()
    # What either model hears of "Set the timer to two minutes." begins and ends so.
    assert answer.text.startswith("Set the time") and answer.text.endswith("minutes.")
    assert answer.usage.type == "duration" and answer.usage.seconds == pytest.approx(2.45, abs=0.01)


def test_text_is_the_same_as_in_json(transcribe):
    assert transcribe(response_format="text") == transcribe().text + "\n"


def test_subtitles_are_text_with_times(transcribe):
    assert re.match(r"1\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n\S", transcribe(response_format="srt"))
    assert re.match(r"WEBVTT\n\n\d\d:\d\d:\d\d\.\d{3} --> ", transcribe(response_format="vtt"))


def test_verbose_json_has_segments_in_order(transcribe):
    answer = transcribe(response_format="verbose_json", timestamp_granularities=["segment"])
    assert answer.language == "english" and answer.duration > 0
    times = [(segment.start, segment.end) for segment in answer.segments]
    assert times == sorted(times) and all(start <= end <= answer.duration for start, end in times)
    assert answer.text == " ".join(segment.text for segment in answer.segments)
    assert all(segment.tokens and segment.avg_logprob < 0 and segment.compression_ratio > 0 for segment in answer.segments)
    assert answer.words is None


def test_words_spell_the_text_one_after_another(transcribe):
    answer = transcribe(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert answer.segments
    if not answer.words:
        pytest.skip("the demo's Canary has learnt no times, hence answers without any")
    assert " ".join(word.word for word in answer.words) == answer.text
    times = [time for word in answer.words for time in (word.start, word.end)]
    assert times == sorted(times) and 0 <= times[0] and times[-1] <= answer.duration


@pytest.mark.skipif(not DIARIZER, reason="no diarizer is named")
def test_diarized_json_names_the_speaker_of_each_part(transcribe):
    answer = transcribe(response_format="diarized_json")
    assert answer.segments and answer.duration > 0
    # One person speaks.
    assert {segment.speaker for segment in answer.segments} == {"A"}
    assert [segment.id for segment in answer.segments] == [f"seg_{number}" for number in range(len(answer.segments))]
    assert answer.text == " ".join(segment.text for segment in answer.segments)

    events = list(transcribe(response_format="diarized_json", stream=True))
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert [(part.text, part.speaker) for part in segments] == [(part.text, part.speaker) for part in answer.segments]
    assert events[-1].type == "transcript.text.done" and events[-1].text == deltas(events) == answer.text


@pytest.mark.parametrize("response_format", ["json", "text"])
def test_the_deltas_of_a_stream_concatenate_to_its_last_event(transcribe, response_format):
    events = list(transcribe(stream=True, response_format=response_format))
    assert events[-1].type == "transcript.text.done" and events[-1].text == deltas(events)
    assert events[-1].text == transcribe().text


def test_log_probabilities_spell_the_text(transcribe):
    answer = transcribe(include=["logprobs"])
    assert "".join(entry.token for entry in answer.logprobs).strip() == answer.text
    assert all(entry.logprob <= 0 and spelt(entry.bytes) == entry.token for entry in answer.logprobs)
    assert len({entry.logprob for entry in answer.logprobs}) > 1
    *_, done = transcribe(include=["logprobs"], stream=True)
    assert [entry.token for entry in done.logprobs] == [entry.token for entry in answer.logprobs]


@pytest.fixture
def translate(client: openai.OpenAI):
    """The English text of the recording, by the demo's Canary. The route takes no language: Canary's default is English."""
    if "canary" not in MODELS:
        pytest.skip("the demo's Canary is not there")
    return lambda **options: client.audio.translations.create(model="canary", file=Path(RECORDING), **options)


def test_translations_are_written_in_every_format(translate):
    text = "Set the timer to two minutes."
    assert translate().text == text
    assert translate(response_format="text") == text + "\n"
    assert re.fullmatch(r"1\n00:00:00,000 --> 00:00:02,\d{3}\n" + text + r"\n+", translate(response_format="srt"))
    assert re.fullmatch(r"WEBVTT\n\n00:00:00\.000 --> 00:00:02\.\d{3}\n" + text + r"\n+", translate(response_format="vtt"))
    answer = translate(response_format="verbose_json")
    assert (answer.text, answer.language) == (text, "english") and answer.duration == pytest.approx(2.45, abs=0.01)
    assert [segment.text for segment in answer.segments] == [text]


def test_french_becomes_english_and_english_french(client, base_url, translate):
    product = client.with_options(base_url=f"{base_url}/api")
    folder = Path(RECORDING).parent
    for name, source, target, expected in [
        ("4_fr.flac", "fr", "en", "Turn off the garden light."),
        ("1_en.flac", "en", "fr", "Mets le minuteur sur deux minutes."),
    ]:
        answer = product.post(
            "/audio/transcribe",
            cast_to=object,
            body={"model": "canary", "language": source, "target_language": target},
            files={"file": (name, (folder / name).read_bytes())},
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )
        # The language is the one that is spoken.
        assert (answer["text"], answer["language"]) == (expected, source)


@pytest.mark.skipif("whisper" not in MODELS, reason="the demo's Whisper is not there")
def test_a_model_that_only_knows_english_refuses_to_translate(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.translations.create(model="whisper", file=Path(RECORDING))
    assert caught.value.code == "unsupported_model_task"


def test_what_is_no_recording_is_refused(transcribe):
    with pytest.raises(openai.BadRequestError) as caught:
        transcribe(file=("speech.wav", b"This is a text. " * 100))
    assert (caught.value.code, caught.value.param) == ("invalid_audio", "file")


def test_an_unknown_language_is_refused_with_those_that_are_known(transcribe):
    with pytest.raises(openai.BadRequestError) as caught:
        transcribe(language="xx")
    assert (caught.value.code, caught.value.param) == ("unsupported_value", "language")
    assert "en" in caught.value.message
