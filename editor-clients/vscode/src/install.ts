/**
 * Makes a private environment with the command `midfill`, after the user agreed, with progress.
 *
 * It lives in the extension's own storage and touches no other environment.
 */
import { spawn } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import * as vscode from "vscode";
import { findPython, inEnvironment } from "./find.ts";
import { clientSettings } from "./settings.ts";

const CREATE = "Create Environment";
const LOCATE = "Choose the Program…";

/** Ask what to do about a missing program; `undefined` when nothing is to be done. */
export async function askToInstall(message: string): Promise<"create" | "locate" | undefined> {
  const choice = await vscode.window.showInformationMessage(
    `${message} Midfill can make a private Python environment in the extension's storage and ` +
      `install \`${clientSettings().package}\` there (about 1 GB with the local engine).`,
    CREATE,
    LOCATE,
  );
  if (choice === undefined) return undefined;
  return choice === CREATE ? "create" : "locate";
}

/** Let the user choose the program; it is then the setting's. True when one was chosen. */
export async function locateProgram(): Promise<boolean> {
  const [file] = (await vscode.window.showOpenDialog({ title: "The command midfill" })) ?? [];
  if (file === undefined) return false;
  await vscode.workspace
    .getConfiguration("midfill")
    .update("client.serverPath", file.fsPath, vscode.ConfigurationTarget.Global);
  return true;
}

/** Make the environment that the user agreed to, with progress; true when it is there. */
export async function createEnvironment(
  environment: string,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const { package: wanted, python: named } = clientSettings();
  const python = await findPython(named);
  if (python === undefined) {
    await explain(
      "Midfill needs Python 3.11 or newer with the module venv. Install it, or name one in the " +
        "setting midfill.client.python.",
      log,
    );
    return false;
  }
  try {
    await vscode.window.withProgress(
      {
        location: vscode.ProgressLocation.Notification,
        title: "Midfill",
        cancellable: true,
      },
      (progress, token) => build(python, environment, wanted, { log, progress, token }),
    );
    return true;
  } catch (error) {
    await rm(environment, { recursive: true, force: true });
    if (!(error instanceof vscode.CancellationError)) {
      await explain(`The environment could not be made: ${whyNot(error, wanted)}`, log);
    }
    return false;
  }
}

/** pip's last line; where its index has no such package, a checkout may be at hand. */
function whyNot(error: unknown, wanted: string): string {
  const why = error instanceof Error ? error.message : String(error);
  if (!why.includes("No matching distribution")) return why;
  return (
    `pip finds no \`${wanted}\`. Name a checkout of the project, as in ` +
    "`/path/to/midfill[engine]`, in the setting midfill.client.package, and create it again."
  );
}

async function explain(message: string, log: vscode.LogOutputChannel): Promise<void> {
  log.error(message);
  if (await vscode.window.showErrorMessage(message, "Show Log")) log.show();
}

interface Watchers {
  readonly log: vscode.LogOutputChannel;
  readonly progress: vscode.Progress<{ message: string }>;
  readonly token: vscode.CancellationToken;
}

async function build(
  python: string[],
  environment: string,
  wanted: string,
  watchers: Watchers,
): Promise<void> {
  await mkdir(dirname(environment), { recursive: true });
  watchers.progress.report({ message: "creating the environment …" });
  await step([...python, "-m", "venv", "--clear", environment], watchers);
  watchers.progress.report({ message: `installing ${wanted} …` });
  const pip = [inEnvironment(environment, "python"), "-m", "pip", "--disable-pip-version-check"];
  await step([...pip, "install", "--progress-bar", "off", wanted], watchers);
}

/** Run one command; its lines are logged and the last one is shown. */
function step(
  [command = "", ...args]: string[],
  { log, progress, token }: Watchers,
): Promise<void> {
  log.info(`$ ${[command, ...args].join(" ")}`);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let last = "";
    const onLine = (line: string): void => {
      log.info(line);
      last = line.trim() || last;
      progress.report({ message: last.length > 80 ? `${last.slice(0, 79)}…` : last });
    };
    createInterface(child.stdout).on("line", onLine);
    createInterface(child.stderr).on("line", onLine);
    const stopping = token.onCancellationRequested(() => child.kill());
    child.on("error", reject);
    child.on("close", (code) => {
      stopping.dispose();
      if (token.isCancellationRequested) reject(new vscode.CancellationError());
      else if (code === 0) resolve();
      else reject(new Error(last || `${command} ended with code ${String(code)}`));
    });
  });
}
