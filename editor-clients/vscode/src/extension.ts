/** Wires the parts together; the language server decides, this only draws and maps keys. */
import { homedir } from "node:os";
import * as vscode from "vscode";
import { registerAccepting } from "./accept.ts";
import { Server } from "./client.ts";
import { registerCommands, say } from "./commands.ts";
import { Confidence } from "./confidence.ts";
import { Elsewhere } from "./elsewhere.ts";
import { findServer, type Found } from "./find.ts";
import { Ghost, PART_ACCEPTED_COMMAND } from "./ghost.ts";
import { Inspector } from "./inspector.ts";
import { askToInstall, createEnvironment, locateProgram } from "./install.ts";
import { LateAnswers } from "./late.ts";
import * as protocol from "./protocol.ts";
import { SECTION, clientSettings, settingNames } from "./settings.ts";
import { Shown } from "./shown.ts";
import { StatusItem } from "./status.ts";

/** How often to look whether a missing program is there by now; a few files are looked at. */
const LOOK_AGAIN_MS = 3_000;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const midfill = new Midfill(context);
  context.subscriptions.push(midfill);
  await midfill.start();
}

class Midfill implements vscode.Disposable {
  private readonly log = vscode.window.createOutputChannel("Midfill", { log: true });
  private readonly status = new StatusItem();
  private readonly confidence = new Confidence();
  private readonly shown = new Shown((id) => {
    void this.client()?.sendNotification(protocol.didShow, { id });
  });
  private readonly ghost = new Ghost(this.shown, this.confidence, this.client.bind(this), (it) => {
    this.status.setReason(it);
    this.inspector.refresh();
  });
  private readonly inspector = new Inspector(this.client.bind(this));
  private readonly late = new LateAnswers(this.shown);
  private readonly elsewhere = new Elsewhere(this.client.bind(this));
  private readonly server: Server;
  private readonly environment: string;
  private readonly subscriptions: vscode.Disposable[];
  private program: string | undefined;
  private offered = false;
  /** While the question whether to install stands somewhere on the screen. */
  private asking = false;
  private building = false;
  private lookAgain: NodeJS.Timeout | undefined;
  /** How many starts there were: a timer's, a command's and a setting's may come together. */
  private starts = 0;

  constructor(context: vscode.ExtensionContext) {
    this.environment = vscode.Uri.joinPath(context.globalStorageUri, "environment").fsPath;
    const names = settingNames(context.extension.packageJSON).filter(
      (name) => !name.startsWith("client."),
    );
    this.server = new Server(this.log, names, {
      prepare: (client) => {
        client.onNotification(protocol.statusChanged, (it) => {
          this.status.setStatus(it);
        });
        client.onNotification(protocol.silence, (it) => {
          this.status.setSilence(it);
          this.inspector.refresh();
        });
        client.onNotification(protocol.draft, (it) => {
          this.confidence.showDraft(it);
        });
        client.onNotification(protocol.late, (it) => {
          void this.late.askAgain(it);
        });
      },
      middleware: {
        provideInlineCompletionItems: async (document, position, asked, token, next) => {
          if (this.hasSeveralCursors(document)) return null;
          const inlineContext = this.late.inContext(document, asked);
          const result = await next(document, position, inlineContext, token);
          if (!token.isCancellationRequested) {
            return this.ghost.present(document, position, inlineContext, result);
          }
          this.confidence.clearDraft(document);
          return null;
        },
        executeCommand: (command, args, next) => {
          if (command === protocol.ACCEPTED_COMMAND) this.shown.clear();
          return next(command, args) as unknown;
        },
      },
      running: () => {
        void vscode.commands.executeCommand("setContext", "midfill.running", true);
        void this.askStatus();
        this.elsewhere.describeAll();
      },
      ended: (message) => {
        void vscode.commands.executeCommand("setContext", "midfill.running", false);
        this.shown.clear();
        if (message === undefined) this.status.setPhase("starting", "starting again …");
        else void this.gaveUp(message);
      },
    });
    this.subscriptions = [
      ...registerCommands({
        log: this.log,
        client: this.client.bind(this),
        program: () => this.program,
        restart: () => this.start(),
        install: () => this.install(),
        inspect: () => {
          this.inspector.open();
        },
        setStatus: (it) => {
          this.status.setStatus(it);
        },
        setReason: this.status.setReason.bind(this.status),
      }),
      ...registerAccepting({ shown: this.shown, client: this.client.bind(this) }),
      vscode.commands.registerCommand(PART_ACCEPTED_COMMAND, (id: string, length: number) =>
        this.client()?.sendNotification(protocol.didAccept, { id, kind: "sure", length }),
      ),
      vscode.workspace.onDidChangeConfiguration((event) => void this.reconfigure(event)),
      vscode.workspace.onDidGrantWorkspaceTrust(() => {
        if (this.client() === undefined) void this.start();
      }),
      this.server,
      this.shown,
      this.confidence,
      this.elsewhere,
      this.inspector,
      this.status,
      this.log,
    ];
  }

  /** Look for the program and run it as the language server, unless a later start does. */
  async start(): Promise<void> {
    const start = ++this.starts;
    clearTimeout(this.lookAgain);
    this.status.setPhase("starting");
    const found = await this.find();
    if (start !== this.starts) return;
    if (found.kind === "missing") {
      this.program = undefined;
      const message = vscode.workspace.isTrusted
        ? found.message
        : `${found.message} In Restricted Mode the workspace's .venv is not used.`;
      this.status.setPhase("missing", message);
      this.lookAgain = setTimeout(() => void this.startIfThere(), LOOK_AGAIN_MS);
      if (!this.offered) void this.install(message);
      return;
    }
    // A question cannot be taken back; out of sight it answers sensibly if it is found later.
    if (this.asking) void vscode.commands.executeCommand("notifications.hideToasts");
    this.log.info(`Using ${found.command}, found in ${found.where}.`);
    this.program = found.command;
    await this.server.start(found.command);
  }

  dispose(): void {
    clearTimeout(this.lookAgain);
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  /** The server sees one cursor only, so this reason is ours to give. */
  private hasSeveralCursors(document: vscode.TextDocument): boolean {
    const editor = vscode.window.activeTextEditor;
    if (editor?.document !== document || editor.selections.length === 1) return false;
    this.status.setReason(document, "multiple-cursors", "There are several cursors.");
    return true;
  }

  private client(): ReturnType<() => Server["running"]> {
    return this.server.running;
  }

  private find(): Promise<Found> {
    const folders = vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders ?? []) : [];
    return findServer({
      setting: clientSettings().serverPath,
      roots: folders.filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath),
      environment: this.environment,
      path: process.env["PATH"] ?? "",
      home: homedir(),
    });
  }

  /** It may have been installed from a terminal meanwhile. */
  private async startIfThere(): Promise<void> {
    const { starts } = this;
    const found = !this.building && (await this.find()).kind === "found";
    if (starts !== this.starts) return;
    if (found) await this.start();
    else this.lookAgain = setTimeout(() => void this.startIfThere(), LOOK_AGAIN_MS);
  }

  /** Offer to install, unless a program is there by now; then start it. */
  private async install(message?: string): Promise<void> {
    this.offered = true;
    const found = await this.find();
    if (found.kind === "missing") {
      const there = await this.offer(message ?? found.message);
      if (!there || this.client() !== undefined) return;
    }
    await this.start();
  }

  /** Ask what to do about a missing program; true when there is one afterwards. */
  private async offer(message: string): Promise<boolean> {
    this.asking = true;
    const choice = await askToInstall(message);
    this.asking = false;
    if (choice === "locate") return locateProgram();
    if (choice === undefined) return false;
    if ((await this.find()).kind === "found") {
      say("it was installed meanwhile, so nothing is created");
      return true;
    }
    this.building = true;
    const made = await createEnvironment(this.environment, this.log);
    this.building = false;
    return made;
  }

  private async askStatus(): Promise<void> {
    try {
      const status = await this.client()?.sendRequest(protocol.getStatus, {});
      if (status) this.status.setStatus(status);
    } catch (error) {
      this.status.setPhase("ready");
      this.log.warn(`The language server does not tell its status: ${String(error)}`);
    }
  }

  private async gaveUp(message: string): Promise<void> {
    this.status.setPhase("crashed", message);
    const again = "Start Again";
    const choice = await vscode.window.showErrorMessage(`Midfill: ${message}`, again, "Show Log");
    if (choice === again) await this.start();
    else if (choice) this.log.show();
  }

  private async reconfigure(event: vscode.ConfigurationChangeEvent): Promise<void> {
    if (event.affectsConfiguration(`${SECTION}.client.serverPath`)) await this.start();
    else if (event.affectsConfiguration(SECTION)) await this.server.settingsChanged();
  }
}
