/**
 * Draws what ghost text cannot: the unsure tail of a suggestion, dimmed, and drafts while the
 * engine is denoising. One line each, at the cursor; never part of the document.
 */
import * as vscode from "vscode";
import type { Draft } from "./protocol.ts";
import { oneLine, withDots } from "./suggestion.ts";

const NO_BREAK_SPACE = "\u00a0";

function faint(color: string): vscode.TextEditorDecorationType {
  return vscode.window.createTextEditorDecorationType({
    after: { color: new vscode.ThemeColor(color), fontStyle: "italic" },
    // What is typed at the position goes before what is drawn there.
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
}

/** The tail that is drawn, what ghost text stands before it, and where. */
interface Tail {
  readonly document: vscode.TextDocument;
  readonly cursor: vscode.Position;
  readonly ghost: string;
}

export class Confidence implements vscode.Disposable {
  private readonly tailType = faint("midfill.unsureForeground");
  private readonly draftType = faint("midfill.draftForeground");
  private tail: Tail | undefined;
  private drawn = false;
  private readonly subscriptions: vscode.Disposable[];

  constructor() {
    this.subscriptions = [
      this.tailType,
      this.draftType,
      vscode.workspace.onDidChangeTextDocument((event) => {
        this.follow(event);
      }),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor, selections }) => {
        const { document } = textEditor;
        const held = this.tail?.document === document ? this.tail.cursor : undefined;
        if (!held || !selections[0]?.active.isEqual(held)) this.clear(document);
      }),
    ];
  }

  /** Draw the unsure tail behind the ghost text of the sure part. */
  showTail(
    document: vscode.TextDocument,
    cursor: vscode.Position,
    { ghost, tail }: { ghost: string; tail: string },
  ): void {
    this.tail = { document, cursor, ghost };
    this.drawn = true;
    draw(document, this.draftType, cursor, "");
    draw(document, this.tailType, cursor, oneLine(tail));
  }

  /** Draw a draft; what is not yet committed stands as middle dots. */
  showDraft({ uri, version, position, text, tokens }: Draft): void {
    const editor = vscode.window.activeTextEditor;
    if (editor?.document.uri.toString() !== uri || editor.document.version !== version) return;
    const at = new vscode.Position(position.line, position.character);
    if (!editor.selection.active.isEqual(at)) return;
    this.drawn = true;
    draw(editor.document, this.draftType, at, oneLine(withDots(text, tokens)));
  }

  clear(document: vscode.TextDocument): void {
    if (!this.drawn) return;
    this.drawn = false;
    this.tail = undefined;
    for (const editor of editorsOf(document)) {
      editor.setDecorations(this.tailType, []);
      editor.setDecorations(this.draftType, []);
    }
  }

  /** Only the draft: its request was given up, and no answer will replace it. */
  clearDraft(document: vscode.TextDocument): void {
    if (this.drawn) draw(document, this.draftType, new vscode.Position(0, 0), "");
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  /** The tail stays, without a flicker, while one types or accepts along its ghost text. */
  private follow({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    const [change] = contentChanges;
    if (change === undefined) return;
    const { tail } = this;
    const along =
      tail?.document === document &&
      contentChanges.length === 1 &&
      change.rangeLength === 0 &&
      change.range.start.isEqual(tail.cursor) &&
      tail.ghost.startsWith(change.text);
    if (!along) {
      this.clear(document);
      return;
    }
    const cursor = document.positionAt(document.offsetAt(tail.cursor) + change.text.length);
    this.tail = { document, cursor, ghost: tail.ghost.slice(change.text.length) };
    this.clearDraft(document);
  }
}

function draw(
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

function editorsOf(document: vscode.TextDocument): vscode.TextEditor[] {
  return vscode.window.visibleTextEditors.filter((editor) => editor.document === document);
}
