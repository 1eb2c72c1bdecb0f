/**
 * The language server's process and the conversation with it: started, restarted with back-off,
 * stopped. Whatever goes wrong here is said once and never blocks the editor.
 */
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  RevealOutputChannelOn,
  State as ProcessState,
  TransportKind,
  type CloseHandlerResult,
  type LanguageClientOptions,
  type Middleware,
} from "vscode-languageclient/node";
import { SECTION, explicitSettings } from "./settings.ts";

/** How long a server that is ended while it starts is waited for. */
const END_MS = 2_000;
const RESTART_DELAYS_MS = [500, 1_000, 2_000, 5_000, 10_000];
/** A server that lived so long is not in a crash loop. */
const HEALTHY_MS = 60_000;

/** Documents of these schemes are completed: files, new files and the cells of notebooks. */
const SCHEMES = ["file", "untitled", "vscode-notebook-cell", "vscode-vfs"];

/** Those, and whatever the folders of a virtual workspace are made of. */
function selector(): { scheme: string }[] {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return [...new Set([...SCHEMES, ...folders.map(({ uri }) => uri.scheme)])].map((scheme) => ({
    scheme,
  }));
}

/** Whether documents like this one are completed. */
export function isServed(document: vscode.TextDocument): boolean {
  return vscode.languages.match(selector(), document) > 0;
}

/** Everything is logged and nothing pops up: the status bar item and `ended` tell the user. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

/** End a server that starts. Only a running one can be asked to, and two would claim one command. */
async function endOfStart(client: LanguageClient): Promise<void> {
  const started = client.start(); // the start that goes on
  client.serverProcess?.kill();
  await Promise.race([started, new Promise((resolve) => setTimeout(resolve, END_MS))]);
  await client.dispose();
}

export interface Hooks {
  /** Called for each fresh client before it starts, to register what it listens to. */
  readonly prepare: (client: LanguageClient) => void;
  readonly middleware: Pick<Middleware, "provideInlineCompletionItems" | "executeCommand">;
  /** The process is running and has answered. */
  readonly running: () => void;
  /** The process is gone; with a message when it is not going to be started again. */
  readonly ended: (message?: string) => void;
}

export class Server implements vscode.Disposable {
  private client: LanguageClient | undefined;
  /** One server is put in the place of another at a time. */
  private turns = Promise.resolve();
  private startedAt = 0;
  private failures = 0;
  private gaveUp = false;
  /** Names of the settings that the running server was told. */
  private told = new Set<string>();

  constructor(
    private readonly log: vscode.LogOutputChannel,
    private readonly names: readonly string[],
    private readonly hooks: Hooks,
  ) {}

  /** The client while it can be talked to. */
  get running(): LanguageClient | undefined {
    return this.client?.state === ProcessState.Running ? this.client : undefined;
  }

  /** Run a command as the server, in place of the one that runs. */
  async start(command: string): Promise<void> {
    this.turns = this.turns.then(() => this.replace(command));
    await this.turns;
  }

  private async replace(command: string): Promise<void> {
    await this.stop();
    this.failures = 0;
    this.gaveUp = false;
    this.told = new Set();
    const client: QuietClient = new QuietClient(
      "midfill",
      "Midfill",
      { command, args: ["lsp"], transport: TransportKind.stdio },
      this.options(() => this.closed(client)),
    );
    this.client = client;
    this.hooks.prepare(client);
    client.onDidChangeState(({ newState }) => {
      if (this.client !== client) return;
      if (newState === ProcessState.Starting) this.startedAt = Date.now();
      if (newState === ProcessState.Running) this.hooks.running();
      if (newState === ProcessState.Stopped && !this.gaveUp) this.hooks.ended();
    });
    void client.start().catch((error: unknown) => {
      const message = `The language server did not start: ${String(error)}`;
      this.log.error(message);
      const ended = client.state !== ProcessState.Starting; // else it is started again
      if (this.client !== client || this.gaveUp || !ended) return;
      this.gaveUp = true;
      this.hooks.ended(message);
    });
  }

  async stop(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    if (client === undefined) return;
    try {
      if (client.state === ProcessState.Starting) await endOfStart(client);
      else await client.dispose();
    } catch {
      // A server that is not running cannot be stopped, which is what was wanted.
    }
  }

  /** Tell the server that settings changed; it then asks for those that it wants. */
  async settingsChanged(): Promise<void> {
    await this.running?.sendNotification("workspace/didChangeConfiguration", {
      settings: { [SECTION]: this.settings() },
    });
  }

  dispose(): void {
    void this.stop();
  }

  private settings(scopeUri?: string): Record<string, unknown> {
    const scope = scopeUri === undefined ? undefined : vscode.Uri.parse(scopeUri);
    return explicitSettings(this.names, this.told, scope);
  }

  private options(closed: () => Promise<CloseHandlerResult>): LanguageClientOptions {
    return {
      documentSelector: selector(),
      outputChannel: this.log,
      traceOutputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: { ...this.settings(), late: true },
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed,
      },
      middleware: {
        ...this.hooks.middleware,
        workspace: {
          configuration: ({ items }) =>
            items.map(({ section, scopeUri }) =>
              section === SECTION ? this.settings(scopeUri) : null,
            ),
        },
      },
    };
  }

  private async closed(client: LanguageClient): Promise<CloseHandlerResult> {
    if (this.client !== client) return { action: CloseAction.DoNotRestart, handled: true };
    if (Date.now() - this.startedAt > HEALTHY_MS) this.failures = 0;
    const delay = RESTART_DELAYS_MS[this.failures];
    this.failures += 1;
    if (delay === undefined) {
      this.gaveUp = true;
      const message = `The language server ended ${String(this.failures)} times in a row; see the log.`;
      this.hooks.ended(message);
      return { action: CloseAction.DoNotRestart, handled: true, message };
    }
    this.hooks.ended();
    await new Promise((resolve) => setTimeout(resolve, delay));
    return { action: CloseAction.Restart, handled: true };
  }
}
