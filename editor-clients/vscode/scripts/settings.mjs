// Mirrors the language server's settings into package.json, or checks that they are the same.
//
//   node scripts/settings.mjs [--check] [--schema FILE]
//
// The schema comes from `midfill_lsp.settings.schema()` of this checkout, run with $PYTHON (or
// python3), or from a JSON file. Without a Python that can run it the check fails: a check that
// passes unchecked would be worse than none.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { mirror } from "./mirror.mjs";

const here = join(import.meta.dirname, "..");
const manifestPath = join(here, "package.json");

function readSchema() {
  const at = process.argv.indexOf("--schema");
  if (at !== -1) return JSON.parse(readFileSync(process.argv[at + 1], "utf8"));
  const root = join(here, "../..");
  const code = "import json; from midfill_lsp.settings import schema; print(json.dumps(schema()))";
  const printed = execFileSync(process.env.PYTHON || "python3", ["-c", code], {
    encoding: "utf8",
    env: { ...process.env, PYTHONPATH: join(root, "lsp_server") },
  });
  return JSON.parse(printed);
}

const text = readFileSync(manifestPath, "utf8");
const config = await resolveConfig(manifestPath);
const fresh = await format(JSON.stringify(mirror(JSON.parse(text), readSchema())), {
  ...config,
  filepath: manifestPath,
});

if (!process.argv.includes("--check")) {
  writeFileSync(manifestPath, fresh);
} else if (fresh !== text) {
  console.error("package.json does not mirror the language server's settings: npm run settings");
  process.exit(1);
}
