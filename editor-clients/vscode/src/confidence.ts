/**
 * Draws what ghost text cannot: the unsure tail of a suggestion, dimmed, and drafts while the
 * engine is denoising. One line each, at the cursor; never part of the document.
 */
import * as vscode from "vscode";
import type { Draft } from "./protocol";
import { oneLine } from "./suggestion";

const NO_BREAK_SPACE = "\u00a0";

function faint(color: string): vscode.TextEditorDecorationType {
  return vscode.window.createTextEditorDecorationType({
    after: { color: new vscode.ThemeColor(color), fontStyle: "italic" },
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
}

export class Confidence implements vscode.Disposable {
  private readonly tail = faint("midfill.unsureForeground");
  private readonly draft = faint("midfill.draftForeground");
  private readonly subscriptions: vscode.Disposable[];

  constructor() {
    this.subscriptions = [
      this.tail,
      this.draft,
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        if (contentChanges.length > 0) this.clear(document);
      }),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor, kind }) => {
        if (kind !== undefined) this.clear(textEditor.document);
      }),
    ];
  }

  /** Draw the unsure tail behind the ghost text of its sure part. */
  showTail(document: vscode.TextDocument, position: vscode.Position, text: string): void {
    this.draw(document, this.tail, position, oneLine(text));
    this.draw(document, this.draft, position, "");
  }

  /** Draw a draft; masks that are not yet committed stand as middle dots. */
  showDraft({ uri, version, position, text, tokens }: Draft): void {
    const editor = vscode.window.activeTextEditor;
    if (editor?.document.uri.toString() !== uri || editor.document.version !== version) return;
    const at = new vscode.Position(position.line, position.character);
    if (!editor.selection.active.isEqual(at)) return;
    this.draw(editor.document, this.draft, at, oneLine(withDots(text, tokens)));
  }

  clear(document: vscode.TextDocument): void {
    for (const editor of editorsOf(document)) {
      editor.setDecorations(this.tail, []);
      editor.setDecorations(this.draft, []);
    }
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private draw(
    document: vscode.TextDocument,
    type: vscode.TextEditorDecorationType,
    position: vscode.Position,
    line: string,
  ): void {
    const contentText = line.replace(/\t/g, "    ").replace(/ /g, NO_BREAK_SPACE);
    const range = new vscode.Range(position, position);
    const drawn = line === "" ? [] : [{ range, renderOptions: { after: { contentText } } }];
    for (const editor of editorsOf(document)) editor.setDecorations(type, drawn);
  }
}

function editorsOf(document: vscode.TextDocument): vscode.TextEditor[] {
  return vscode.window.visibleTextEditors.filter((editor) => editor.document === document);
}

/** The text with every letter of an uncommitted token as a dot, so that one sees it settle. */
export function withDots(text: string, tokens: Draft["tokens"]): string {
  let at = 0;
  const pieces = tokens.map(([length, , committed]) => {
    const piece = text.slice(at, (at += length));
    return committed ? piece : piece.replace(/\S/g, "·");
  });
  return pieces.join("") + text.slice(at);
}
