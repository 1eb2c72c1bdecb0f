/**
 * Looks for the command `midfill` and for a Python that can run it. Starts nothing but
 * `python --version`, and knows no editor.
 */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const WINDOWS = process.platform === "win32";
const LOWEST_PYTHON = [3, 11] as const;

export interface Places {
  /** The setting; a path, or a name that is looked up on PATH. */
  readonly setting: string;
  /** Roots of trusted workspaces, whose `.venv` may be run. */
  readonly roots: readonly string[];
  /** The environment that this extension made, if it did. */
  readonly environment: string;
  /** PATH of the user. */
  readonly path: string;
  /** The user's home, whose `.local/bin` is not on every PATH: pipx and uv install there. */
  readonly home: string;
}

export type Found =
  | { readonly kind: "found"; readonly command: string; readonly where: string }
  | { readonly kind: "missing"; readonly message: string };

/** The setting, then PATH, `~/.local/bin`, the workspace's environment, and our own. */
export async function findServer(places: Places): Promise<Found> {
  if (places.setting !== "") return fromSetting(places);
  const candidates: [string | undefined, string][] = [
    [await onPath("midfill", places.path), "PATH"],
    [join(places.home, ".local", "bin", WINDOWS ? "midfill.exe" : "midfill"), "~/.local/bin"],
    ...places.roots.map((root): [string, string] => [
      inEnvironment(join(root, ".venv"), "midfill"),
      "the workspace's .venv",
    ]),
    [inEnvironment(places.environment, "midfill"), "the extension's environment"],
  ];
  for (const [command, where] of candidates) {
    if (command !== undefined && (await isExecutable(command))) {
      return { kind: "found", command, where };
    }
  }
  return { kind: "missing", message: "The command `midfill` is not installed." };
}

async function fromSetting({ setting, path }: Places): Promise<Found> {
  const command = isAbsolute(setting) ? setting : await onPath(setting, path);
  if (command !== undefined && (await isExecutable(command))) {
    return { kind: "found", command, where: "the setting midfill.client.serverPath" };
  }
  const message = `The setting midfill.client.serverPath is ${setting}, which cannot be run.`;
  return { kind: "missing", message };
}

/** Path of a program inside a virtual environment. */
export function inEnvironment(environment: string, name: string): string {
  return WINDOWS ? join(environment, "Scripts", `${name}.exe`) : join(environment, "bin", name);
}

async function onPath(name: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter).filter((part) => isAbsolute(part))) {
    const command = join(folder, WINDOWS ? `${name}.exe` : name);
    if (await isExecutable(command)) return command;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A Python that is new enough, newest first; the setting alone if there is one. */
export async function findPython(setting: string): Promise<string[] | undefined> {
  const names: string[][] = WINDOWS
    ? [["py", "-3"], ["python"]]
    : [["python3.13"], ["python3.12"], ["python3.11"], ["python3"], ["python"]];
  for (const words of setting === "" ? names : [[setting]]) {
    if (await isNewEnough(words)) return words;
  }
  return undefined;
}

async function isNewEnough([command = "", ...args]: string[]): Promise<boolean> {
  try {
    const code = "import sys, venv, ensurepip; print(*sys.version_info[:2])";
    const { stdout } = await run(command, [...args, "-c", code], { timeout: 20_000 });
    const [major = 0, minor = 0] = stdout.trim().split(" ").map(Number);
    return major === LOWEST_PYTHON[0] && minor >= LOWEST_PYTHON[1];
  } catch {
    return false;
  }
}
