// Packs the extension:  node scripts/pack.mjs [--out FILE]
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createVSIX } from "@vscode/vsce";
import { publicAddress, withoutPictures } from "./pictures.mjs";

const here = join(import.meta.dirname, "..");
const staged = join(here, "out", "package");
const FILES = ["LICENSE", "CHANGELOG.md", "images", "walkthrough", "out/extension.js"];

function gitRemote() {
  try {
    const words = ["-C", here, "config", "--get", "remote.origin.url"];
    return execFileSync("git", words, { encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}

execFileSync(process.execPath, [join(here, "scripts/build.mjs"), "--production"], {
  cwd: here,
  stdio: "inherit",
});
rmSync(staged, { recursive: true, force: true });
mkdirSync(staged, { recursive: true });
for (const name of FILES) cpSync(join(here, name), join(staged, name), { recursive: true });
rmSync(join(staged, "images/icon.svg"));

const baseImagesUrl = publicAddress(gitRemote());
const readme = readFileSync(join(here, "README.md"), "utf8");
writeFileSync(join(staged, "README.md"), baseImagesUrl ? readme : withoutPictures(readme));
const manifest = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
delete manifest.scripts;
delete manifest.devDependencies;
manifest.files = ["**"];
writeFileSync(join(staged, "package.json"), JSON.stringify(manifest, undefined, 2));

const at = process.argv.indexOf("--out");
await createVSIX({
  cwd: staged,
  packagePath: at === -1 ? join(here, `midfill-${manifest.version}.vsix`) : process.argv[at + 1],
  dependencies: false,
  allowMissingRepository: true,
  rewriteRelativeLinks: baseImagesUrl !== undefined,
  ...(baseImagesUrl && { baseImagesUrl }),
});
