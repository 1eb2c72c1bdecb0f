/**
 * Answers that were not ready in time: when the language server knows one after all and the user
 * still rests there, VS Code is made to ask once more. Draws nothing.
 */
import * as vscode from "vscode";
import type { Late } from "./protocol.ts";
import type { Shown } from "./shown.ts";

export class LateAnswers {
  /** The document's state for which the next question is ours, not the user's. */
  private asking: { uri: string; version: number } | undefined;

  constructor(private readonly shown: Shown) {}

  async askAgain({ uri, version, position: { line, character } }: Late): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const cursor = new vscode.Position(line, character);
    if (
      editor?.document.uri.toString() !== vscode.Uri.parse(uri).toString() ||
      editor.document.version !== version ||
      editor.selections.length !== 1 ||
      !editor.selection.isEmpty ||
      !editor.selection.active.isEqual(cursor) ||
      this.shown.current() !== undefined
    ) {
      return;
    }
    this.asking = { uri: editor.document.uri.toString(), version };
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  }

  /** The context of a question: VS Code knows no command that asks as typing does. */
  inContext(
    document: vscode.TextDocument,
    context: vscode.InlineCompletionContext,
  ): vscode.InlineCompletionContext {
    const { asking } = this;
    this.asking = undefined;
    const ours = asking?.uri === document.uri.toString() && asking.version === document.version;
    return ours
      ? { ...context, triggerKind: vscode.InlineCompletionTriggerKind.Automatic }
      : context;
  }
}
