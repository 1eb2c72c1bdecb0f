/**
 * What is on the screen now: the suggestions of the last answer, and which of them is selected.
 *
 * VS Code tells extensions neither when ghost text is shown nor which candidate is selected nor
 * how much was accepted, so this keeps account of it. It changes no document and draws nothing.
 */
import * as vscode from "vscode";
import type { Acceptance } from "./protocol.ts";
import { consumed, type Suggestion } from "./suggestion.ts";

/** Ghost text that stood this long without being overtaken counts as shown. */
const SHOWN_AFTER_MS = 100;

interface Answer {
  readonly document: vscode.TextDocument;
  /** Start of the range that the items replace. */
  readonly start: vscode.Position;
  /** Text after the cursor that they replace as well. */
  readonly replaced: string;
  readonly items: readonly Suggestion[];
}

/** The selected suggestion and how much of it stands before the cursor already. */
export interface Current {
  readonly document: vscode.TextDocument;
  readonly start: vscode.Position;
  readonly cursor: vscode.Position;
  readonly suggestion: Suggestion;
  readonly taken: number;
  /** Text after the cursor that the whole suggestion takes the place of. */
  readonly replaced: string;
}

export class Shown implements vscode.Disposable {
  private answer: Answer | undefined;
  private index = 0;
  private timer: NodeJS.Timeout | undefined;
  private reported: string | undefined;
  private readonly subscriptions: vscode.Disposable[];

  /** `report` is called once for each suggestion that was seen. */
  constructor(private readonly report: (id: string) => void) {
    this.subscriptions = [
      vscode.workspace.onDidChangeTextDocument((event) => {
        this.follow(event);
      }),
      vscode.window.onDidChangeActiveTextEditor(() => {
        this.clear();
      }),
    ];
  }

  /** Remember an answer; items that other extensions' middleware made are not ours. */
  set(answer: Answer): void {
    const selected = this.answer?.items[this.index]?.id;
    if (this.answer === undefined) announce(true);
    this.answer = answer;
    this.index = Math.max(
      0,
      answer.items.findIndex((item) => item.id === selected),
    );
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.reportSeen();
    }, SHOWN_AFTER_MS);
  }

  clear(): void {
    clearTimeout(this.timer);
    if (this.answer === undefined) return;
    this.answer = undefined;
    this.index = 0;
    announce(false);
  }

  /** The next candidate is selected, or the previous one. */
  cycle(step: 1 | -1): void {
    const count = this.answer?.items.length ?? 0;
    if (count > 0) this.index = (this.index + step + count) % count;
  }

  /** What the user sees, if it still agrees with the document. */
  current(): Current | undefined {
    const editor = vscode.window.activeTextEditor;
    const suggestion = this.answer?.items[this.index];
    if (!this.answer || !suggestion || editor?.document !== this.answer.document) return undefined;
    const { document, start, replaced } = this.answer;
    const cursor = editor.selection.active;
    if (cursor.isBefore(start)) return undefined;
    const taken = consumed(suggestion.text, document.getText(new vscode.Range(start, cursor)));
    return taken === undefined
      ? undefined
      : { document, start, cursor, suggestion, taken, replaced };
  }

  dispose(): void {
    this.clear();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private follow(event: vscode.TextDocumentChangeEvent): void {
    const { answer } = this;
    if (answer?.document !== event.document || event.contentChanges.length === 0) return;
    const before = event.contentChanges.some((change) => change.range.start.isBefore(answer.start));
    // The selection is updated after this event, so agreement is looked at when it is needed.
    if (before) this.clear();
  }

  private reportSeen(): void {
    const id = this.current()?.suggestion.id;
    if (id === undefined || id === this.reported) return;
    this.reported = id;
    this.report(id);
  }
}

/** Keys of ours apply only while a suggestion of ours is there. */
function announce(shown: boolean): void {
  void vscode.commands.executeCommand("setContext", "midfill.shown", shown);
}

/** The suggestion behind an item of the language server; `undefined` for foreign items. */
export function suggestionOf(
  item: vscode.InlineCompletionItem,
): (Suggestion & { acceptance: Acceptance }) | undefined {
  const acceptance = item.command?.arguments?.[0] as Acceptance | undefined;
  if (acceptance === undefined || typeof item.insertText !== "string") return undefined;
  return { id: acceptance.id, text: item.insertText, sure: acceptance.sure, acceptance };
}
