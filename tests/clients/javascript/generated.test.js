// Types generated from doc/openapi.json by openapi-typescript pass the compiler, and so does code that uses them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const here = import.meta.dirname;
const document = join(here, "../../../doc/openapi.json");

// A tool of node_modules; its output shows only when it fails.
function run(tool, ...options) {
  try {
    return execFileSync(join(here, "node_modules/.bin", tool), options, { cwd: here, encoding: "utf8" });
  } catch (error) {
    assert.fail(`${tool}: ${error.stdout}${error.stderr}`);
  }
}

const use = `
import type { components, paths } from "./schema";
const request: components["schemas"]["ChatCompletionRequest"] = {
  model: "qwen",
  messages: [{ role: "user", content: "Hi" }],
};
type Answer = paths["/v1/chat/completions"]["post"]["responses"][200]["content"]["application/json"];
export const words = (answer: Answer): string | null | undefined => answer.choices[0]?.message.content;
export const body: string = JSON.stringify(request);
// @ts-expect-error: a request without a model is none.
export const wrong: components["schemas"]["ChatCompletionRequest"] = { messages: [] };
`;

test("the types of the document and code with them pass the compiler", () => {
  const folder = mkdtempSync(join(tmpdir(), "inferkit-types-"));
  try {
    run("openapi-typescript", document, "--output", join(folder, "schema.d.ts"));
    writeFileSync(join(folder, "use.ts"), use);
    run("tsc", "--noEmit", "--strict", "--moduleResolution", "bundler", "--module", "esnext", join(folder, "use.ts"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
