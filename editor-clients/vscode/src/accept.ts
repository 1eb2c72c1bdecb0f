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
import type { Shown } from "./shown.ts";
import { sureEnd } from "./suggestion.ts";

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

async function acceptPart(
  { shown, client }: Parts,
  kind: protocol.AcceptKind,
  command: string,
): Promise<void> {
  const before = shown.current();
  await vscode.commands.executeCommand(command);
  const after = shown.current();
  if (!before || after?.suggestion.id !== before.suggestion.id) return;
  if (after.taken > before.taken) {
    await client()?.sendNotification(protocol.didAccept, {
      id: after.suggestion.id,
      kind,
      length: after.taken,
    });
  }
}

async function acceptSure({ shown, client }: Parts): Promise<void> {
  const current = shown.current();
  const editor = vscode.window.activeTextEditor;
  if (!current || !editor) return;
  const { suggestion, taken, cursor } = current;
  const end = sureEnd(suggestion);
  if (end >= suggestion.text.length) {
    await vscode.commands.executeCommand(`${SUGGEST}.commit`);
  } else if (end <= taken) {
    say("the very next token is unsure");
  } else {
    await editor.edit((edit) => {
      edit.insert(cursor, suggestion.text.slice(taken, end));
    });
    await client()?.sendNotification(protocol.didAccept, {
      id: suggestion.id,
      kind: "sure",
      length: end,
    });
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
