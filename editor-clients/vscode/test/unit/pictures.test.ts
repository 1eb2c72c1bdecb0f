import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { publicAddress, withoutPictures } from "../../scripts/pictures.mjs";

test("a public remote has an address for pictures, any other has none", () => {
  const address = "https://github.com/some/where.d/raw/HEAD/editor-clients/vscode";
  assert.equal(publicAddress("https://github.com/some/where.d.git"), address);
  assert.equal(publicAddress("git@github.com:some/where.d.git"), address);
  assert.equal(
    publicAddress("https://gitlab.com/a/b"),
    "https://gitlab.com/a/b/-/raw/HEAD/editor-clients/vscode",
  );
  assert.equal(publicAddress("/home/somebody/clone"), undefined);
  assert.equal(publicAddress(""), undefined);
});

test("pictures of the package go, with their captions; others stay", () => {
  const text =
    "one\n\n![A](a.png)\n\n*caption*\n\n* item\n\n  ![B](b.png)\n\n![C](https://c/c.png)\n\nend\n";
  const left = withoutPictures(text);
  assert.match(left, /^one\n\n\*For pictures run\* .*\n\n\* item\n\n!\[C\]\(https:.*\)\n\nend\n$/);
});

test("the README keeps no picture that its package cannot show", () => {
  const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
  assert.match(readme, /!\[/);
  assert.doesNotMatch(withoutPictures(readme), /!\[/);
});

test("the walkthrough shows each picture of the package", () => {
  const root = join(import.meta.dirname, "../..");
  const pages = readdirSync(join(root, "walkthrough")).map((name) =>
    readFileSync(join(root, "walkthrough", name), "utf8"),
  );
  const shown = [...pages.join("\n").matchAll(/\(\.\.\/images\/([^)]+)\)/g)].map((it) => it[1]);
  const packed = readdirSync(join(root, "images")).filter((name) => !name.startsWith("icon."));
  assert.deepEqual(shown.sort(), packed.sort());
});
