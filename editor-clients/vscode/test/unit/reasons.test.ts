import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lastFigures, reasonLabel, statusText } from "../../src/reasons.ts";

test("the status bar has state and reason", () => {
  assert.match(statusText("ready"), /Midfill$/);
  assert.match(statusText("ready", undefined, "comment"), /Midfill: comment$/);
  assert.match(statusText("loading", 0.6), /engine loading 60 %$/);
  assert.match(statusText("error", undefined, "engine-starting"), /engine down$/);
});

test("work in progress does not change the text", () => {
  assert.equal(statusText("busy"), statusText("ready"));
});

test("what is over before one can read it is not shown", () => {
  assert.equal(statusText("ready", undefined, "stale"), statusText("ready"));
});

test("every code of the protocol has a label, or is passing", () => {
  const protocol = readFileSync(join(import.meta.dirname, "../../../../docs/protocol.md"), "utf8");
  const listed = /Codes of silence: ([^.]*)\./.exec(protocol)?.[1] ?? "";
  const codes = [...listed.matchAll(/`([a-z-]+)`/g)].map((match) => match[1] ?? "");
  assert.ok(codes.length > 15);
  assert.deepEqual(
    codes.filter((code) => reasonLabel(code) === undefined),
    ["stale"],
  );
});

test("figures name their source", () => {
  assert.equal(
    lastFigures({ ms: 41.2, nfe: 1, source: "model" }),
    "Last suggestion: 41 ms, 1 forward (NFE)",
  );
  assert.match(lastFigures({ ms: 0.4, nfe: 0, source: "typed-along" }), /typed along$/);
});
