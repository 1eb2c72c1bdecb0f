/**
 * The page of the inspector: an answer of `midfill/inspect` as HTML. Knows no editor.
 *
 * All text in it is code of the user or words of a model, so everything is escaped; the page has
 * no links and loads nothing.
 */
import type { Inspection, InspectedRequest, InspectedToken } from "./protocol.ts";

/** [least confidence, class], surest first; the shades of `midfill complete` and `demo`. */
const SHADES: readonly (readonly [least: number, name: string])[] = [
  [0.9, "sure"],
  [0.7, "likely"],
  [0.5, "unsure"],
  [0, "guess"],
];
/** Lines of the document around the middle; the whole context follows below. */
const LINES_AROUND = 4;
const SOURCES: Record<string, string> = {
  model: "from the model",
  "typed-along": "typed along: known from an earlier request, no model call",
  speculated: "computed ahead, before it was asked for",
};

export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${String(letter.codePointAt(0))};`);
}

/** The content of the page; `name` is the document's. */
export function inspectionHtml(name: string, found: Inspection | null): string {
  if (found === null) {
    return `<p>Nothing was asked in ${escape(name)} yet. Type, or run <b>Midfill: Complete Now</b>.</p>`;
  }
  const { request } = found;
  return [
    `<h1>${escape(name)}, line ${String(found.answer.line + 1)}</h1>`,
    outcome(found),
    request ? requestHtml(request) : "<p>Nothing was sent to the engine for this.</p>",
  ].join("\n");
}

function outcome({ answer }: Inspection): string {
  const asked = answer.explicit ? "asked for" : "while typing";
  const when = `${ms(answer.ms)}, ${asked}, document version ${String(answer.version)}`;
  if (answer.shown === undefined) {
    const { code = "", message = "" } = answer;
    return `<p><b>Nothing shown</b> (${escape(code)}): ${escape(message)} <i>${when}</i></p>`;
  }
  const source = SOURCES[answer.source ?? ""] ?? "";
  const shown = answer.shown.map((tokens) => `<pre>${tokensHtml(tokens)}</pre>`).join("");
  return `<p><b>Shown</b>, ${escape(source)} <i>${when}</i></p>${shown}${legend()}`;
}

function requestHtml(request: InspectedRequest): string {
  return [figures(request), middles(request), steps(request), context(request)].join("\n");
}

function figures({ fill, ahead, parameters }: InspectedRequest): string {
  const rows: [string, string][] = [];
  if (fill) {
    const { nfe, tokens_per_forward: perForward, cached_tokens: cached, prompt_tokens: all } = fill;
    rows.push(
      ["time in the engine", ms(fill.total_ms)],
      ["of it waiting, context, denoising", times(fill)],
      ["forwards (NFE)", `${String(nfe)}, ${perForward.toFixed(1)} tokens each`],
      ["context tokens", `${String(all)}, of which ${String(cached)} were cached`],
      ["tokens of the middle", String(fill.completion_tokens)],
      ["ended by", fill.finish_reason],
      ["model, strategy", `${fill.model}, ${fill.strategy}`],
      ...fill.notes.map((note): [string, string] => ["note", note]),
    );
  }
  for (const [key, value] of Object.entries(parameters)) {
    rows.push([key, typeof value === "string" ? value : JSON.stringify(value)]);
  }
  const body = rows.map(([key, value]) => `<tr><th>${escape(key)}<td>${escape(value)}`).join("");
  const title = ahead ? "Request, made ahead" : "Request";
  const unfinished = fill ? "" : "<p>It was stopped before it was answered.</p>";
  return `<h2>${title}</h2>${unfinished}<table>${body}</table>`;
}

function times(fill: NonNullable<InspectedRequest["fill"]>): string {
  return [fill.queue_ms, fill.prefill_ms, fill.denoise_ms].map(ms).join(", ");
}

function middles({ fill, context: { prefix, suffix } }: InspectedRequest): string {
  if (!fill) return "";
  const before = escape(prefix.split("\n").slice(-LINES_AROUND).join("\n"));
  const after = escape(suffix.split("\n").slice(0, LINES_AROUND).join("\n"));
  const all = fill.middles.map(({ score, finish_reason: reason, tokens }) => {
    const text = tokens.length === 0 ? "<i>(empty)</i>" : tokensHtml(tokens);
    const about = `mean log-probability ${score.toFixed(2)}, ended by ${escape(reason)}`;
    return `<p><i>${about}</i></p><pre><s>${before}</s>${text}<s>${after}</s></pre>`;
  });
  return `<h2>What the model filled in</h2>${all.join("")}`;
}

function steps({ drafts }: InspectedRequest): string {
  if (drafts.length === 0) return "";
  const rows = drafts.map(
    ({ step, ms: at, tokens }) =>
      `<tr><th>${String(step)}<td>${ms(at)}<td><pre>${tokensHtml(tokens)}</pre>`,
  );
  return `<h2>Denoising</h2><table class="steps">${rows.join("")}</table>`;
}

function context({ context: sent }: InspectedRequest): string {
  const segments: [string, string][] = [
    ["path and language", `${sent.path || "(no file)"}\n${sent.language}`],
    ...sent.snippets.map(({ path, text }): [string, string] => [`piece of ${path}`, text]),
    ["before the cursor", sent.prefix],
    ["after the cursor", sent.suffix],
    ["expected from what was shown before", sent.draft],
  ];
  const parts = segments
    .filter(([, text]) => text !== "")
    .map(([title, text]) => {
      const size = `${String(text.length)} characters`;
      return `<h3>${escape(title)} <i>${size}</i></h3><pre class="segment">${escape(text)}</pre>`;
    });
  return `<h2>Context that was sent</h2>${parts.join("")}`;
}

/** Each token in its shade, with its confidence to point at. */
function tokensHtml(tokens: readonly InspectedToken[]): string {
  return tokens
    .map(([text, confidence, committed]) => {
      const shade = SHADES.find(([least]) => confidence >= least)?.[1] ?? "guess";
      const title = confidence.toFixed(2) + (committed ? "" : ", still open");
      const name = committed ? shade : "open";
      return `<span class="${name}" title="${title}">${escape(text)}</span>`;
    })
    .join("");
}

function legend(): string {
  const shades = SHADES.map(([least, name]) => {
    const words = least > 0 ? `${name} ≥ ${String(least)}` : "less";
    return `<span class="${name}">${words}</span>`;
  });
  return `<p>${shades.join(" ")} <span class="open">still open</span></p>`;
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** The frame of the page: only its own style and script run, nothing is loaded. */
export function pageHtml(nonce: string): string {
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>Midfill Inspector</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<main></main>
<script nonce="${nonce}">
const main = document.querySelector("main");
addEventListener("message", ({ data }) => { main.innerHTML = data; });
acquireVsCodeApi().postMessage("ready");
</script>
</body>
</html>`;
}

const STYLE = `
body { font-size: var(--vscode-font-size); max-width: 100ch; }
h1 { font-size: 1.3em; } h2 { font-size: 1.15em; margin-top: 1.6em; } h3 { font-size: 1em; }
h3, th { font-weight: normal; color: var(--vscode-descriptionForeground); text-align: left; }
i, s { color: var(--vscode-descriptionForeground); text-decoration: none; }
th, td { padding: 0 1.5em 0.2em 0; vertical-align: top; }
pre { font-family: var(--vscode-editor-font-family); font-size: var(--vscode-editor-font-size);
  background: var(--vscode-textCodeBlock-background); padding: 0.5em; margin: 0.3em 0;
  overflow-x: auto; white-space: pre; tab-size: 4; }
.steps pre { margin: 0; padding: 0.1em 0.5em; }
.segment { max-height: 24em; overflow-y: auto; }
.sure { color: var(--vscode-charts-green); font-weight: bold; }
.likely { color: var(--vscode-charts-green); }
.unsure { color: var(--vscode-charts-yellow); }
.guess { color: var(--vscode-charts-red); }
.open { color: var(--vscode-descriptionForeground); font-style: italic; }
span[title] { border-bottom: 1px dotted transparent; }
span[title]:hover { border-bottom-color: currentColor; }
`;
