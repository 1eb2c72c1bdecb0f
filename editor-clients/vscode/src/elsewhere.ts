/**
 * Documents that are not on the language server's disk: VS Code reads the ignore files that stand
 * above them there, and the language server judges by these. What cannot be read stays unknown, and
 * the document is then not completed.
 */
import { posix } from "node:path";
import * as vscode from "vscode";
import type { LanguageClient } from "vscode-languageclient/node";
import { isServed } from "./client.ts";
import * as protocol from "./protocol.ts";

const IGNORE_FILE = ".midfillignore";
/** The language server reads these itself, or they are on no disk. */
const HERE = new Set(["file", "untitled"]);

export class Elsewhere implements vscode.Disposable {
  private readonly subscriptions: vscode.Disposable[];

  constructor(private readonly client: () => LanguageClient | undefined) {
    const watcher = vscode.workspace.createFileSystemWatcher(`**/${IGNORE_FILE}`);
    const again = (): void => {
      this.describeAll();
    };
    this.subscriptions = [
      watcher,
      watcher.onDidCreate(again),
      watcher.onDidChange(again),
      watcher.onDidDelete(again),
      vscode.workspace.onDidSaveTextDocument(({ uri }) => {
        if (posix.basename(uri.path) === IGNORE_FILE) again();
      }),
      vscode.workspace.onDidOpenTextDocument((document) => void this.describe(document)),
    ];
  }

  /** Tell a language server that knows nothing yet, or after an ignore file changed. */
  describeAll(): void {
    for (const document of vscode.workspace.textDocuments) void this.describe(document);
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async describe(document: vscode.TextDocument): Promise<void> {
    const uri = fileOf(document);
    const client = this.client();
    if (client === undefined || HERE.has(uri.scheme) || !isServed(document)) return;
    const parent = uri.with({ path: posix.dirname(uri.path) });
    const root = vscode.workspace.getWorkspaceFolder(uri)?.uri ?? parent;
    try {
      const ignoreFiles = await ignoreFilesBetween(root, parent);
      await client.sendNotification(protocol.describeDocument, {
        textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(document),
        folder: root.path,
        ignoreFiles,
      });
    } catch {
      // Unknown, which the language server takes as excluded, and says so.
    }
  }
}

/** The file that a document is, or is a part of. */
function fileOf(document: vscode.TextDocument): vscode.Uri {
  const notebook = vscode.workspace.notebookDocuments.find((one) =>
    one.getCells().some((cell) => cell.document === document),
  );
  return notebook?.uri ?? document.uri;
}

async function ignoreFilesBetween(
  root: vscode.Uri,
  folder: vscode.Uri,
): Promise<protocol.IgnoreFile[]> {
  const found: protocol.IgnoreFile[] = [];
  const names = posix.relative(root.path, folder.path).split("/");
  let here = root;
  for (const name of ["", ...names]) {
    here = vscode.Uri.joinPath(here, name);
    const text = await read(vscode.Uri.joinPath(here, IGNORE_FILE));
    if (text !== undefined) found.push({ folder: here.path, text });
  }
  return found;
}

/** The text of a file; `undefined` when it is not there, and only then. */
async function read(file: vscode.Uri): Promise<string | undefined> {
  try {
    return new TextDecoder().decode(await vscode.workspace.fs.readFile(file));
  } catch (error) {
    if (error instanceof vscode.FileSystemError && error.code === "FileNotFound") return undefined;
    throw error;
  }
}
