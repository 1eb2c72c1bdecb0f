/** Short words for the status bar. The sentences come from the language server. */
import type { Status } from "./protocol.ts";

/** What the status bar says of a silence; codes that are over before one can read are absent. */
const LABELS: Record<string, string> = {
  disabled: "off",
  snoozed: "snoozed",
  "language-off": "language off",
  "excluded-file": "excluded file",
  "secret-file": "secret file",
  "read-only": "read-only",
  "too-large": "file too large",
  comment: "comment",
  string: "string",
  "word-follows": "inside a word",
  dismissed: "dismissed",
  "engine-starting": "engine starting",
  "engine-loading": "engine loading",
  "engine-down": "engine down",
  deadline: "out of time",
  empty: "nothing to add",
  "repeats-suffix": "repeats what follows",
  "repeats-prefix": "repeats what precedes",
  unsure: "not sure enough",
  "multiple-cursors": "several cursors",
  "not-served": "not completed here",
  battery: "paused on battery",
};

/** The state of the whole thing, as the status bar shows it. */
export type Phase = Status["state"] | "missing" | "crashed";

const ICONS: Record<Phase, string> = {
  starting: "$(loading~spin)",
  loading: "$(loading~spin)",
  ready: "$(symbol-array)",
  busy: "$(symbol-array)",
  paused: "$(debug-pause)",
  off: "$(circle-slash)",
  error: "$(warning)",
  crashed: "$(warning)",
  missing: "$(cloud-download)",
};

export function reasonLabel(code: string): string | undefined {
  return LABELS[code];
}

/** Text of the status bar item. `busy` looks like `ready`, as it changes with every key. */
export function statusText(phase: Phase, progress?: number, silenceCode?: string): string {
  const reason = silenceCode === undefined ? undefined : reasonLabel(silenceCode);
  const label = phaseLabel(phase, progress) ?? reason;
  return label ? `${ICONS[phase]} Midfill: ${label}` : `${ICONS[phase]} Midfill`;
}

function phaseLabel(phase: Phase, progress?: number): string | undefined {
  switch (phase) {
    case "starting":
      return "starting";
    case "loading":
      return progress === undefined
        ? "engine loading"
        : `engine loading ${String(Math.round(progress * 100))} %`;
    case "paused":
      return "paused";
    case "off":
      return "off";
    case "error":
      return "engine down";
    case "crashed":
      return "language server down";
    case "missing":
      return "not installed";
    case "ready":
    case "busy":
      return undefined;
  }
}

/** The figures of the last suggestion, for the tooltip. */
export function lastFigures(last: NonNullable<Status["last"]>): string {
  const how: Record<string, string> = {
    model: "",
    "typed-along": ", typed along",
    speculated: ", computed ahead",
  };
  const forwards = last.nfe === 1 ? "1 forward" : `${String(last.nfe)} forwards`;
  return `Last suggestion: ${last.ms.toFixed(0)} ms, ${forwards} (NFE)${how[last.source] ?? ""}`;
}
