// A file system in memory, for the tests of virtual workspaces: `memory:/work.py` and others.
const vscode = require("vscode");

const encode = (text) => new TextEncoder().encode(text);
const files = new Map([
  ["/work.py", encode("def mean(numbers):\n    total = \n    return total / len(numbers)\n")],
  ["/.env", encode("KEY=\n")],
  ["/.midfillignore", encode("/ignored.py\n")],
  ["/ignored.py", encode("\n")],
]);
const changed = new vscode.EventEmitter();

function read({ path }) {
  const found = files.get(path);
  if (found === undefined) throw vscode.FileSystemError.FileNotFound(path);
  return found;
}

const provider = {
  onDidChangeFile: changed.event,
  watch: () => new vscode.Disposable(() => {}),
  stat: (uri) =>
    uri.path === "/"
      ? { type: vscode.FileType.Directory, ctime: 0, mtime: 0, size: 0 }
      : { type: vscode.FileType.File, ctime: 0, mtime: 0, size: read(uri).length },
  readDirectory: () => [...files.keys()].map((name) => [name.slice(1), vscode.FileType.File]),
  readFile: read,
  writeFile: ({ path }, content) => files.set(path, content),
  createDirectory() {},
  delete() {},
  rename() {},
};

exports.activate = (context) => {
  context.subscriptions.push(vscode.workspace.registerFileSystemProvider("memory", provider));
};
