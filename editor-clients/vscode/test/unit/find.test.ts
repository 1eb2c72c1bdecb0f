import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { test } from "node:test";
import { findPython, findServer, inEnvironment } from "../../src/find.ts";

function program(path: string, script = "exit 0"): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

const folder = (): string => mkdtempSync(join(tmpdir(), "midfill-"));
const nowhere = { setting: "", roots: [], environment: "/nowhere", path: "", home: "/nowhere" };

test("the setting wins", async () => {
  const [set, other] = [program(join(folder(), "mine")), program(join(folder(), "midfill"))];
  const found = await findServer({ ...nowhere, setting: set, path: dirname(other) });
  assert.equal(found.kind === "found" && found.command, set);
});

test("a setting that cannot be run is said, not replaced", async () => {
  const path = dirname(program(join(folder(), "midfill")));
  const found = await findServer({ ...nowhere, setting: "/no/such/midfill", path });
  assert.match(found.kind === "missing" ? found.message : "", /\/no\/such\/midfill/);
});

test("PATH and the user's bin come before the workspace, that before our environment", async () => {
  const root = folder();
  const places = {
    setting: "",
    path: [folder(), folder()].join(delimiter),
    roots: [root],
    environment: folder(),
    home: folder(),
  };
  const ours = program(inEnvironment(places.environment, "midfill"));
  const first = await findServer(places);
  assert.equal(first.kind === "found" && first.command, ours);
  const local = program(inEnvironment(join(root, ".venv"), "midfill"));
  const second = await findServer(places);
  assert.equal(second.kind === "found" && second.command, local);
  const user = program(join(places.home, ".local", "bin", "midfill"));
  const beside = await findServer(places);
  assert.equal(beside.kind === "found" && beside.command, user);
  const global = program(join(places.path.split(delimiter)[1] ?? "", "midfill"));
  const third = await findServer(places);
  assert.equal(third.kind === "found" && third.command, global);
});

test("a relative entry of PATH is not trusted", async () => {
  const found = await findServer({ ...nowhere, path: "." });
  assert.equal(found.kind, "missing");
});

test("an old Python, or one that does not start, is not taken", async () => {
  const old = program(join(folder(), "python"), "echo 3 10");
  assert.equal(await findPython(old), undefined);
  assert.equal(await findPython("/no/such/python"), undefined);
  const recent = program(join(folder(), "python"), "echo 3 12");
  assert.deepEqual(await findPython(recent), [recent]);
});
