// Formats Lua as stylua does: stylua.cjs LIBRARY [--check] FILE...; settings from the nearest stylua.toml.
// The package on npm is a library without a command.
"use strict";
const fs = require("fs");
const path = require("path");

const [library, ...rest] = process.argv.slice(2);
if (rest[0] === "--version") {
  console.log(JSON.parse(fs.readFileSync(path.join(path.dirname(library), "package.json"))).version);
  process.exit(0);
}
const stylua = require(library);

const CHOICES = {
  line_endings: stylua.LineEndings,
  indent_type: stylua.IndentType,
  quote_style: stylua.QuoteStyle,
  call_parentheses: stylua.CallParenType,
};

function settings(file) {
  let folder = path.dirname(path.resolve(file));
  while (!fs.existsSync(path.join(folder, "stylua.toml")) && folder !== path.dirname(folder)) {
    folder = path.dirname(folder);
  }
  const config = stylua.Config.new();
  const text = fs.readFileSync(path.join(folder, "stylua.toml"), "utf8");
  for (const [, key, word, number] of text.matchAll(/^(\w+) = (?:"(\w+)"|(\d+))$/gm)) {
    config[key] = word === undefined ? Number(number) : CHOICES[key][word];
  }
  return config;
}

const check = rest[0] === "--check";
let wrong = 0;
for (const file of check ? rest.slice(1) : rest) {
  const before = fs.readFileSync(file, "utf8");
  const after = stylua.formatCode(before, settings(file), undefined, stylua.OutputVerification.None);
  if (before === after) continue;
  wrong += 1;
  console.log(`${check ? "not formatted" : "formatted"}: ${file}`);
  if (!check) fs.writeFileSync(file, after);
}
process.exit(check && wrong ? 1 : 0);
