/** The one item in the status bar: what state Midfill is in, and why it shows nothing. */
import * as vscode from "vscode";
import { isServed } from "./client.ts";
import type { Silence, Status } from "./protocol.ts";
import { lastFigures, reasonLabel, statusText, type Phase } from "./reasons.ts";

const LINKS: [command: string, title: string][] = [
  ["midfill.why", "Why nothing?"],
  ["midfill.inspect", "Inspector"],
  ["midfill.snooze", "Snooze"],
  ["midfill.showLog", "Log"],
  ["midfill.doctor", "Doctor"],
];
const WARNING = new vscode.ThemeColor("statusBarItem.warningBackground");

type Reason = Pick<Silence, "code" | "message">;

/** Why a document is not completed at all, as its kind is none that the language server is told. */
export function whyNotServed(document: vscode.TextDocument): Reason | undefined {
  if (isServed(document)) return undefined;
  const message = `Documents of the kind \`${document.uri.scheme}:\` are not completed.`;
  return { code: "not-served", message };
}

function working(phase: Phase): boolean {
  return phase === "ready" || phase === "busy";
}

export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    "midfill.status",
    vscode.StatusBarAlignment.Right,
    100,
  );
  private phase: Phase = "starting";
  private message = "";
  private status: Status | undefined;
  /** The last silence of each open document; gone when something is shown there. */
  private readonly reasons = new Map<string, Reason>();
  private readonly subscriptions: vscode.Disposable[];

  constructor() {
    this.item.name = "Midfill";
    this.item.command = "midfill.menu";
    this.subscriptions = [
      vscode.window.onDidChangeActiveTextEditor(() => {
        this.draw();
      }),
      vscode.workspace.onDidCloseTextDocument((document) => {
        this.reasons.delete(document.uri.toString());
      }),
    ];
    this.draw();
    this.item.show();
  }

  /** What the language server says of itself and the engine. */
  setStatus(status: Status): void {
    this.status = status;
    this.setPhase(status.state, status.message);
  }

  /** What this extension knows when there is no server to say anything. */
  setPhase(phase: Phase, message = ""): void {
    // A reason that was the engine's, or a switch's, ends with it.
    if (working(phase) !== working(this.phase)) this.reasons.clear();
    this.phase = phase;
    this.message = message;
    this.draw();
  }

  setSilence({ uri, code, message }: Silence): void {
    this.reasons.set(uri, { code, message });
    this.draw();
  }

  /** Why a document shows nothing, where this extension knows; none when it shows something. */
  setReason(document: vscode.TextDocument, code?: string, message = ""): void {
    const uri = document.uri.toString();
    if (code !== undefined) this.reasons.set(uri, { code, message });
    else if (!this.reasons.delete(uri)) return;
    this.draw();
  }

  dispose(): void {
    this.item.dispose();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private reason(): Reason | undefined {
    const document = vscode.window.activeTextEditor?.document;
    return document && (whyNotServed(document) ?? this.reasons.get(document.uri.toString()));
  }

  private draw(): void {
    const reason = this.reason();
    this.item.text = statusText(this.phase, this.status?.progress, reason?.code);
    this.item.tooltip = this.tooltip(reason);
    this.item.backgroundColor = ["error", "crashed", "missing"].includes(this.phase)
      ? WARNING
      : undefined;
    const spoken = this.item.text.replace(/\$\([^)]*\)\s*/, "");
    this.item.accessibilityInformation = { label: spoken, role: "button" };
  }

  private tooltip(reason: Reason | undefined): vscode.MarkdownString {
    const text = new vscode.MarkdownString("**Midfill**", true);
    text.isTrusted = { enabledCommands: LINKS.map(([command]) => command) };
    const paragraph = (words: string | undefined): void => {
      // Names of models and files are not ours: as text they cannot become links.
      if (words) text.appendMarkdown("\n\n").appendText(words);
    };
    paragraph(this.message);
    if (reason && reasonLabel(reason.code)) paragraph(`Nothing shown: ${reason.message}`);
    paragraph(this.status?.last && lastFigures(this.status.last));
    const { model, device } = this.status ?? {};
    if (model) paragraph(device ? `${model} on ${device}` : model);
    const links = LINKS.map(([command, title]) => `[${title}](command:${command})`);
    text.appendMarkdown(`\n\n${links.join(" · ")}`);
    return text;
  }
}
