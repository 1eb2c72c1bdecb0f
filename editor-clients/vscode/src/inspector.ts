/**
 * The inspector: a page beside the editor that follows the last request of the active document.
 *
 * It shows code, which it has from the language server and keeps to itself: no link, nothing
 * loaded, nothing sent but that it is ready.
 */
import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { inspectionHtml, pageHtml } from "./inspection.ts";
import * as protocol from "./protocol.ts";

/** Several things happen at once when a suggestion is shown; one look is enough. */
const SETTLE_MS = 100;

export class Inspector implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private document: vscode.TextDocument | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly subscription: vscode.Disposable;

  constructor(private readonly client: () => LanguageClient | undefined) {
    this.subscription = vscode.window.onDidChangeActiveTextEditor(() => {
      this.refresh();
    });
  }

  open(): void {
    if (this.panel !== undefined) {
      this.panel.reveal(undefined, true);
      this.refresh();
      return;
    }
    this.panel = vscode.window.createWebviewPanel(
      "midfill.inspector",
      "Midfill Inspector",
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: [], enableFindWidget: true },
    );
    const { webview } = this.panel;
    this.panel.onDidDispose(() => (this.panel = undefined));
    // A page that was hidden is made anew, and says so.
    webview.onDidReceiveMessage(() => {
      this.refresh();
    });
    webview.html = pageHtml(randomBytes(16).toString("base64url"));
  }

  /** Something was answered, or another document is looked at. */
  refresh(): void {
    if (this.panel?.visible !== true) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.show(), SETTLE_MS);
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.subscription.dispose();
    this.panel?.dispose();
  }

  private async show(): Promise<void> {
    // While the page itself has the focus there is no active text editor.
    const document = vscode.window.activeTextEditor?.document ?? this.document;
    const client = this.client();
    if (document === undefined || client === undefined) return;
    this.document = document;
    const textDocument = client.code2ProtocolConverter.asTextDocumentIdentifier(document);
    const found = await client.sendRequest(protocol.inspect, { textDocument });
    await this.panel?.webview.postMessage(inspectionHtml(basename(document.uri.path), found));
  }
}
