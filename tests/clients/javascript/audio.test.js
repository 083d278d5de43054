// The official client, unmodified, has a recording written down by each of the demo's transcribers.
//
// Needs INFERKIT_TEST_TRANSCRIBERS, keys with commas between them, and INFERKIT_TEST_RECORDING.
import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.INFERKIT_TEST_URL}/v1`,
  apiKey: process.env.INFERKIT_TEST_KEY,
  maxRetries: 0,
});
const models = (process.env.INFERKIT_TEST_TRANSCRIBERS ?? "").split(",").filter((key) => key !== "");
const path = process.env.INFERKIT_TEST_RECORDING ?? "";
const skip = models.length > 0 && path !== "" ? false : "no transcriber and no recording are named";

for (const model of skip ? ["none"] : models) {
  const transcribe = (options) =>
    client.audio.transcriptions.create({ model, file: createReadStream(path), language: "en", ...options });

  test(`${model}: json and text are the same words`, { skip }, async () => {
    const answer = await transcribe({});
    assert.match(answer.text, /^Set the time.* minutes\.$/);
    assert.equal(answer.usage.type, "duration");
    assert.equal(await transcribe({ response_format: "text" }), `${answer.text}\n`);
  });

  test(`${model}: verbose_json has segments and words in order`, { skip }, async () => {
    const answer = await transcribe({ response_format: "verbose_json", timestamp_granularities: ["word", "segment"] });
    assert.equal(answer.language, "english");
    assert.equal(answer.segments.map((segment) => segment.text).join(" "), answer.text);
    assert.ok(answer.segments.length > 0);
    // The demo's Canary has learnt no times, hence answers without any.
    if (model === "canary" && answer.words.length === 0) return;
    assert.equal(answer.words.map((word) => word.word).join(" "), answer.text);
    const times = answer.words.flatMap((word) => [word.start, word.end]);
    assert.deepEqual(times, times.toSorted((a, b) => a - b));
    assert.ok(times[0] >= 0 && times.at(-1) <= answer.duration);
  });

  test(`${model}: subtitles are text with times`, { skip }, async () => {
    const subtitles = await transcribe({ response_format: "srt" });
    assert.match(subtitles, /^1\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n\S/);
    assert.match(await transcribe({ response_format: "vtt" }), /^WEBVTT\n\n\d\d:\d\d:\d\d\.\d{3} --> /);
  });

  test(`${model}: the deltas of a stream are the text`, { skip }, async () => {
    const events = [];
    for await (const event of await transcribe({ stream: true })) events.push(event);
    const deltas = events.filter((event) => event.type === "transcript.text.delta");
    const done = events.at(-1);
    assert.equal(done.type, "transcript.text.done");
    assert.equal(deltas.map((event) => event.delta).join(""), done.text);
    assert.equal(done.text, (await transcribe({})).text);
  });

  test(`${model}: an unknown language is refused by name`, { skip }, async () => {
    await assert.rejects(transcribe({ language: "xx" }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.deepEqual([error.code, error.param], ["unsupported_value", "language"]);
      return true;
    });
  });
}

// The route takes no language: Canary's default is English.
test("a translation has the formats of a transcription", { skip: skip || !models.includes("canary") }, async () => {
  const text = "Set the timer to two minutes.";
  const translate = (options) => client.audio.translations.create({ model: "canary", file: createReadStream(path), ...options });
  assert.equal((await translate({})).text, text);
  assert.equal(await translate({ response_format: "text" }), `${text}\n`);
  assert.ok((await translate({ response_format: "srt" })).includes(`\n${text}\n`));
  assert.ok((await translate({ response_format: "vtt" })).includes(`\n${text}\n`));
  const answer = await translate({ response_format: "verbose_json" });
  assert.deepEqual([answer.text, answer.language, answer.segments.length], [text, "english", 1]);
});
