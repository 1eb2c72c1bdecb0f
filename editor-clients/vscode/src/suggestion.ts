/**
 * A suggestion as a text with confidences: how much of it stands in the document already, and
 * where its sure part ends. Knows no editor.
 */

export interface Suggestion {
  readonly id: string;
  /** What would stand from the start of the replaced range. */
  readonly text: string;
  /** Length of the part before the first unsure token. */
  readonly sure: number;
}

/**
 * How much of `text` the document already holds, or `undefined` when it disagrees.
 *
 * `typed` is what stands between the start of the range and the cursor. Line ends compare equal
 * whatever they are, because the editor turns those that it inserts into the document's own.
 */
export function consumed(text: string, typed: string): number | undefined {
  let at = 0;
  for (const piece of typed.match(/\r\n|[^]/g) ?? []) {
    const line = lineEnd(text, at);
    if (piece === "\r\n" || piece === "\n") {
      if (line === 0) return undefined;
      at += line;
    } else if (text[at] === piece) {
      at += 1;
    } else {
      return undefined;
    }
  }
  return at;
}

function lineEnd(text: string, at: number): number {
  if (text.startsWith("\r\n", at)) return 2;
  return text[at] === "\n" ? 1 : 0;
}

/**
 * Where the part to be sure of ends: `sure` without blanks at its end, which would show as an
 * empty line or as nothing.
 */
export function sureEnd({ text, sure }: Suggestion): number {
  return sure >= text.length ? text.length : text.slice(0, sure).trimEnd().length;
}

/**
 * Where to cut the ghost text when the unsure tail is told apart, or `undefined` to show all: there
 * is no unsure tail, or the cursor has reached it, so that the user has asked for it.
 */
export function cutAt(suggestion: Suggestion, typedLength: number): number | undefined {
  const end = sureEnd(suggestion);
  return end < suggestion.text.length && end > typedLength ? end : undefined;
}

/**
 * The suggestion cut in two at `end`, from `taken` on, where the whole also takes the place of
 * `replaced`, the text after the cursor (a bracket that the editor closed by itself, mostly).
 *
 * `replaces`: the first part contains that text, so it takes its place. Otherwise the text stays
 * where it is, and of the second part only what comes before it can be drawn in front of it.
 */
export function parted(
  { text }: Suggestion,
  { taken, end, replaced }: { taken: number; end: number; replaced: string },
): { ghost: string; tail: string; replaces: boolean } {
  const ghost = text.slice(taken, end);
  const rest = text.slice(end);
  if (replaced === "") return { ghost, tail: rest, replaces: false };
  if (ghost.includes(replaced)) return { ghost, tail: "", replaces: true };
  return { ghost, tail: rest.slice(0, Math.max(rest.lastIndexOf(replaced), 0)), replaces: false };
}

/** One line that stands for a text which may have several. */
export function oneLine(text: string): string {
  const [first = "", ...rest] = text.split(/\r\n|\n/);
  const hidden = rest.filter((line) => line.trim() !== "").length;
  return hidden === 0 ? first : `${first} ⏎ +${String(hidden)}`;
}

/** The text with the letters of uncommitted tokens as dots, so that one sees it settle. */
export function withDots(
  text: string,
  tokens: readonly (readonly [length: number, confidence: number, committed: 0 | 1])[],
): string {
  let at = 0;
  const pieces = tokens.map(([length, , committed]) => {
    const piece = text.slice(at, (at += length));
    return committed ? piece : piece.replace(/\S/gu, "·");
  });
  return pieces.join("") + text.slice(at);
}
