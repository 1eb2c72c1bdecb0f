import assert from "node:assert/strict";
import test from "node:test";
import { inspectionHtml, pageHtml } from "../../src/inspection.ts";
import type { InspectedRequest, Inspection } from "../../src/protocol.ts";

const HOSTILE = `</pre><img src=x onerror="alert('1')">&amp;`;

function request(over: Partial<InspectedRequest> = {}): InspectedRequest {
  return {
    ahead: false,
    context: {
      path: "src/main.py",
      language: "python",
      snippets: [],
      prefix: "a\nb\nc\nd\ne\nf = ",
      suffix: "\ng\nh\ni\nj\nk\n",
      draft: "",
    },
    parameters: { budget_ms: 700 },
    drafts: [],
    fill: null,
    ...over,
  };
}

function fill(tokens: [string, number, 0 | 1][]): NonNullable<InspectedRequest["fill"]> {
  return {
    model: "midfill-0.5b-v8",
    strategy: "balanced",
    finish_reason: "end",
    nfe: 3,
    tokens_per_forward: 2.5,
    prompt_tokens: 400,
    cached_tokens: 390,
    completion_tokens: 7,
    queue_ms: 0.4,
    prefill_ms: 12.3,
    denoise_ms: 40.6,
    total_ms: 53.9,
    notes: [],
    middles: [{ score: -0.25, finish_reason: "end", tokens }],
  };
}

function shown(over: Partial<InspectedRequest> = {}): Inspection {
  const answer = { version: 4, line: 2, explicit: true, ms: 61.4, source: "model" };
  return { answer: { ...answer, shown: [[["x + 1", 0.93, 1]]] }, request: request(over) };
}

test("before any request it says what to do", () => {
  assert.match(inspectionHtml("main.py", null), /Nothing was asked in main\.py yet/);
});

test("figures, steps and context are told", () => {
  const html = inspectionHtml(
    "main.py",
    shown({
      fill: fill([["x", 0.95, 1]]),
      drafts: [{ step: 1, ms: 20.2, tokens: [["y", 0.2, 0]] }],
    }),
  );
  for (const words of [
    "main.py, line 3",
    "asked for",
    "3, 2.5 tokens each",
    "400, of which 390 were cached",
    "0.4 ms, 12 ms, 41 ms",
    "mean log-probability -0.25",
    "budget_ms<td>700",
    'class="open" title="0.20, still open">y<',
    'class="sure" title="0.95">x<',
    "src/main.py",
  ]) {
    assert.ok(html.includes(words), words);
  }
  // Near the middle a few lines, in the context all of it.
  assert.ok(html.includes("<s>d\ne\nf = </s>") || html.includes("<s>c\nd\ne\nf = </s>"));
  assert.ok(html.includes('<pre class="segment">a\nb\n'));
});

test("a silence gives its reason, and a request that was stopped is no fill", () => {
  const answer = {
    version: 1,
    line: 0,
    explicit: false,
    ms: 0.2,
    code: "comment",
    message: "In <",
  };
  assert.match(
    inspectionHtml("a.py", { answer, request: null }),
    /Nothing shown<\/b> \(comment\): In &#60;.*\n.*Nothing was sent/,
  );
  const late = inspectionHtml("a.py", { answer, request: request() });
  assert.match(late, /stopped before it was answered/);
});

test("code stays text wherever it stands", () => {
  const found = shown({
    context: {
      path: HOSTILE,
      language: HOSTILE,
      snippets: [{ path: HOSTILE, text: HOSTILE }],
      prefix: HOSTILE,
      suffix: HOSTILE,
      draft: HOSTILE,
    },
    parameters: { [HOSTILE]: HOSTILE },
    drafts: [{ step: 1, ms: 1, tokens: [[HOSTILE, 0.9, 1]] }],
    fill: { ...fill([[HOSTILE, 0.9, 1]]), model: HOSTILE, notes: [HOSTILE] },
  });
  found.answer.shown = [[[HOSTILE, 0.1, 1]]];
  assert.doesNotMatch(inspectionHtml(HOSTILE, found), /<img|onerror="|&amp;/);
});

test("the page runs its own script only and loads nothing", () => {
  const page = pageHtml("abc");
  assert.match(page, /default-src 'none'; style-src 'nonce-abc'; script-src 'nonce-abc'"/);
  assert.doesNotMatch(page, /unsafe|https?:|src="/);
  assert.equal(page.match(/nonce="abc"/g)?.length, 2);
});
