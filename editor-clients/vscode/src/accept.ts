/**
 * Accepting, cycling and dismissing, told to the language server.
 *
 * VS Code's own commands do the work; it only does not say that they did. What it has no command
 * for, accepting up to the first unsure token, is an ordinary edit.
 */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { say } from "./commands.ts";
import * as protocol from "./protocol.ts";
import type { Current, Shown } from "./shown.ts";
import { consumed, parted, sureEnd } from "./suggestion.ts";

const SUGGEST = "editor.action.inlineSuggest";

export interface Parts {
  readonly shown: Shown;
  readonly client: () => LanguageClient | undefined;
}

export function registerAccepting(parts: Parts): vscode.Disposable[] {
  const table: Record<string, () => Promise<unknown>> = {
    accept: async () => vscode.commands.executeCommand(`${SUGGEST}.commit`),
    acceptWord: () => acceptPart(parts, "word", `${SUGGEST}.acceptNextWord`),
    acceptLine: () => acceptPart(parts, "line", `${SUGGEST}.acceptNextLine`),
    acceptSure: () => acceptSure(parts),
    next: () => cycle(parts, 1),
    previous: () => cycle(parts, -1),
    dismiss: () => dismiss(parts),
  };
  return Object.entries(table).map(([name, run]) =>
    vscode.commands.registerCommand(`midfill.${name}`, run),
  );
}

/** Of the suggestion that was last accepted in part, how much. */
let part = { id: "", length: 0 };

async function acceptPart(
  { shown, client }: Parts,
  kind: protocol.AcceptKind,
  command: string,
): Promise<void> {
  const before = shown.current();
  const editor = vscode.window.activeTextEditor;
  await vscode.commands.executeCommand(command);
  if (!before || editor?.document !== before.document) return;
  // The text tells, for by now there may be a new answer that counts from another start.
  const inserted = new vscode.Range(before.cursor, editor.selection.active);
  const rest = before.suggestion.text.slice(before.taken);
  const length = consumed(rest, editor.document.getText(inserted));
  if (length) await tellPart(client, before, kind, length);
}

/** Lengths are told from the suggestion's start; a later part adds to those before it. */
async function tellPart(
  client: Parts["client"],
  { suggestion: { id }, taken }: Current,
  kind: protocol.AcceptKind,
  length: number,
): Promise<void> {
  part = { id, length: (part.id === id ? part.length : taken) + length };
  await client()?.sendNotification(protocol.didAccept, { kind, ...part });
}

async function acceptSure({ shown, client }: Parts): Promise<void> {
  const current = shown.current();
  const editor = vscode.window.activeTextEditor;
  if (!current || !editor) return;
  const { document, suggestion, taken, cursor, replaced } = current;
  const end = sureEnd(suggestion);
  if (end >= suggestion.text.length) {
    await vscode.commands.executeCommand(`${SUGGEST}.commit`);
  } else if (end <= taken) {
    say("the very next token is unsure");
  } else {
    const { ghost, replaces } = parted(suggestion, { taken, end, replaced });
    const after = new vscode.Range(cursor, cursor.translate(0, replaced.length));
    const there = replaces && document.getText(after) === replaced;
    await editor.edit((edit) => {
      edit.replace(there ? after : new vscode.Range(cursor, cursor), ghost);
    });
    await tellPart(client, current, "sure", end - taken);
  }
}

async function cycle({ shown }: Parts, step: 1 | -1): Promise<void> {
  // Cycling makes VS Code ask for more candidates first; the answer must be in before we count.
  await vscode.commands.executeCommand(`${SUGGEST}.${step === 1 ? "showNext" : "showPrevious"}`);
  shown.cycle(step);
}

async function dismiss({ shown, client }: Parts): Promise<void> {
  const current = shown.current();
  await vscode.commands.executeCommand(`${SUGGEST}.hide`);
  shown.clear();
  const running = client();
  if (!current || !running) return;
  await running.sendNotification(protocol.didDismiss, {
    uri: running.code2ProtocolConverter.asUri(current.document.uri),
    position: running.code2ProtocolConverter.asPosition(current.cursor),
    id: current.suggestion.id,
  });
}
