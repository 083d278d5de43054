// The official client, unmodified, holds conversations with the demo model.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.INFERKIT_TEST_URL}/v1`,
  apiKey: process.env.INFERKIT_TEST_KEY,
  maxRetries: 0,
});
const question = {
  model: "qwen",
  messages: [{ role: "user", content: "What is the capital of France? Answer in one short sentence." }],
  max_tokens: 24,
  temperature: 0,
};

test("an answer says what the model knows", async () => {
  const answer = await client.chat.completions.create(question);
  assert.match(answer.choices[0].message.content, /Paris/);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test("a stream concatenates to the whole answer and ends", async () => {
  const whole = (await client.chat.completions.create(question)).choices[0].message.content;
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(text, whole);
});

test("a stream with usage ends with the usage", async () => {
  const stream = await client.chat.completions.create({ ...question, stream: true, stream_options: { include_usage: true } });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.total_tokens > 0);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
});

test("the client's stream class gathers the answer", async () => {
  const final = await client.chat.completions.stream(question).finalChatCompletion();
  assert.match(final.choices[0].message.content, /Paris/);
});

test("errors are of the client's own classes", async () => {
  await assert.rejects(client.chat.completions.create({ ...question, temperature: 3 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    assert.match(error.requestID, /^req_/);
    return true;
  });
  await assert.rejects(client.chat.completions.create({ ...question, model: "gpt-0" }), OpenAI.NotFoundError);
  const stranger = client.withOptions({ apiKey: "wrong" });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
});

test("models are listed and found by name", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("qwen"));
  assert.equal((await client.models.retrieve("qwen")).id, "qwen");
});
