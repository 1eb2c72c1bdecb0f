/** The commands of the palette that ask the language server or VS Code for something. */
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import * as protocol from "./protocol.ts";
import { SECTION } from "./settings.ts";
import { whyNotServed } from "./status.ts";

const SNOOZE_MINUTES = [5, 15, 60, 240];

/** What the commands need of the rest. */
export interface Surroundings {
  readonly log: vscode.LogOutputChannel;
  /** The language server while it runs. */
  readonly client: () => LanguageClient | undefined;
  /** The program that was found, for `midfill doctor`. */
  readonly program: () => string | undefined;
  /** Look for the program again and start over. */
  readonly restart: () => Promise<void>;
  readonly install: () => Promise<void>;
  readonly inspect: () => void;
  readonly setStatus: (status: protocol.Status) => void;
  /** Why the document shows nothing from now on; `undefined` when that is over. */
  readonly setReason: (document: vscode.TextDocument, code?: string, message?: string) => void;
}

export function registerCommands(around: Surroundings): vscode.Disposable[] {
  const table: Record<string, () => unknown> = {
    complete: () => vscode.commands.executeCommand("editor.action.inlineSuggest.trigger"),
    why: () => why(around),
    inspect: () => inspect(around),
    snooze: () => snooze(around),
    toggleLanguage: () => toggleLanguage(around),
    toggleWorkspace,
    fillHoles: () => fillHoles(around),
    keepMenu,
    showLog: () => {
      around.log.show();
    },
    doctor: () => doctor(around),
    restart: () => restart(around),
    install: () => around.install(),
    trySample,
    openSettings: () =>
      vscode.commands.executeCommand("workbench.action.openSettings", "@ext:midfill.midfill"),
    menu,
  };
  return Object.entries(table).map(([name, run]) =>
    vscode.commands.registerCommand(`midfill.${name}`, run),
  );
}

/** The running client; says what to do when there is none. */
async function connected({ client, install }: Surroundings): Promise<LanguageClient | undefined> {
  if (client() === undefined) await install();
  return client();
}

async function why(around: Surroundings): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  const client = document && (await connected(around));
  if (!client) return;
  const reason =
    whyNotServed(document) ??
    (await client.sendRequest(protocol.why, {
      textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(document),
    }));
  const message = reason?.message ?? "The last request in this file showed a suggestion.";
  const again = "Complete Now";
  const inspector = "Open Inspector";
  const choice = await vscode.window.showInformationMessage(message, again, inspector);
  if (choice === again) await vscode.commands.executeCommand("midfill.complete");
  else if (choice) around.inspect();
}

async function inspect(around: Surroundings): Promise<void> {
  if (await connected(around)) around.inspect();
}

async function snooze(around: Surroundings): Promise<void> {
  const client = await connected(around);
  if (!client) return;
  const choices = [
    ...SNOOZE_MINUTES.map((minutes) => ({ label: duration(minutes), minutes })),
    { label: "End the snooze", minutes: 0 },
  ];
  const choice = await vscode.window.showQuickPick(choices, {
    title: "Snooze automatic suggestions for …",
  });
  if (choice) {
    around.setStatus(await client.sendRequest(protocol.snooze, { minutes: choice.minutes }));
  }
}

function duration(minutes: number): string {
  if (minutes < 60) return `${String(minutes)} minutes`;
  return minutes === 60 ? "1 hour" : `${String(minutes / 60)} hours`;
}

/** Written to the user's settings, so that it is kept and can be seen. */
async function toggleLanguage({ setReason }: Surroundings): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  if (document === undefined) return;
  const language = document.languageId;
  const section = vscode.workspace.getConfiguration(SECTION);
  const languages = section.get<Record<string, boolean>>("languages", {});
  const enabled = !(languages[language] ?? languages["*"] ?? true);
  const target = vscode.ConfigurationTarget.Global;
  await section.update("languages", { ...languages, [language]: enabled }, target);
  await announce(enabled, `for ${language}`);
  if (enabled) setReason(document);
  else setReason(document, "language-off", `Midfill is switched off for ${language}.`);
}

async function toggleWorkspace(): Promise<void> {
  const section = vscode.workspace.getConfiguration(SECTION);
  const enabled = !section.get<boolean>("enabled", true);
  const target =
    vscode.workspace.workspaceFolders === undefined
      ? vscode.ConfigurationTarget.Global
      : vscode.ConfigurationTarget.Workspace;
  await section.update("enabled", enabled, target);
  await announce(enabled, "in this workspace");
}

async function announce(enabled: boolean, where: string): Promise<void> {
  if (!enabled) await vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
  say(`${enabled ? "on" : "off"} ${where}`);
}

/** Fill every `___` in the selection, or in the document when nothing is selected. */
async function fillHoles(around: Surroundings): Promise<void> {
  const editor = vscode.window.activeTextEditor;
  const client = editor && (await connected(around));
  if (!client) return;
  const { document, selection } = editor;
  const range = selection.isEmpty
    ? new vscode.Range(0, 0, document.lineCount, 0)
    : new vscode.Range(selection.start, selection.end);
  const params = {
    textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(document),
    range: client.code2ProtocolConverter.asRange(document.validateRange(range)),
  };
  const { version } = document;
  const edit = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: "Midfill: filling the holes …" },
    () => client.sendRequest(protocol.fillHoles, params),
  );
  if (edit === null) say("no holes (___) to fill, or nothing found for them");
  else if (document.version !== version) say("the text changed meanwhile; the holes are as before");
  else await vscode.workspace.applyEdit(await client.protocol2CodeConverter.asWorkspaceEdit(edit));
}

/** VS Code may hide the completion menu while inline suggestions are on; bring it back. */
async function keepMenu(): Promise<void> {
  const section = vscode.workspace.getConfiguration("editor");
  const now = section.get<unknown>("quickSuggestions");
  const others = typeof now === "object" ? now : {};
  await section.update(
    "quickSuggestions",
    { ...others, other: "on" },
    vscode.ConfigurationTarget.Global,
  );
  say("the completion menu opens while typing as well");
}

/** A task, because its panel stays open for reading when the command has ended. */
async function doctor(around: Surroundings): Promise<void> {
  const program = around.program();
  if (program === undefined) {
    await around.install();
    return;
  }
  const task = new vscode.Task(
    { type: "midfill" },
    vscode.TaskScope.Workspace,
    "doctor",
    "Midfill",
    new vscode.ProcessExecution(program, ["doctor"]),
  );
  task.presentationOptions = { echo: false, focus: true, clear: true };
  await vscode.tasks.executeTask(task);
}

/** Restart the engine through the server, or the server when there is none to ask. */
async function restart(around: Surroundings): Promise<void> {
  const client = around.client();
  if (client === undefined) {
    await around.restart();
    return;
  }
  await client.sendRequest("workspace/executeCommand", {
    command: protocol.RESTART_ENGINE_COMMAND,
    arguments: [],
  });
}

/** A file to try it in, with the cursor in the gap. */
async function trySample(): Promise<void> {
  const before = "def mean(numbers):\n    total = ";
  const after = "\n    return total / len(numbers)\n";
  const document = await vscode.workspace.openTextDocument({
    language: "python",
    content: before + after,
  });
  const cursor = document.positionAt(before.length);
  await vscode.window.showTextDocument(document, { selection: new vscode.Range(cursor, cursor) });
  await vscode.commands.executeCommand("midfill.complete");
}

/** What a click on the status bar item offers. */
async function menu(): Promise<void> {
  const entries: [command: string, label: string][] = [
    ["complete", "$(sparkle) Complete Now"],
    ["why", "$(question) Why Nothing?"],
    ["inspect", "$(search) Open Inspector"],
    ["snooze", "$(debug-pause) Snooze …"],
    ["toggleLanguage", "$(symbol-keyword) Switch On or Off for This Language"],
    ["toggleWorkspace", "$(folder) Switch On or Off in This Workspace"],
    ["fillHoles", "$(edit) Fill the Holes (___) in the Selection"],
    ["keepMenu", "$(list-selection) Keep the Completion Menu beside Suggestions"],
    ["openSettings", "$(settings-gear) Settings"],
    ["showLog", "$(output) Show Log"],
    ["doctor", "$(pulse) Doctor"],
    ["restart", "$(refresh) Restart the Engine"],
  ];
  const choice = await vscode.window.showQuickPick(
    entries.map(([command, label]) => ({ label, command })),
    { title: "Midfill" },
  );
  if (choice) await vscode.commands.executeCommand(`midfill.${choice.command}`);
}

/** A word in the status bar that goes away by itself. */
export function say(words: string): void {
  vscode.window.setStatusBarMessage(`Midfill: ${words}`, 5_000);
}
