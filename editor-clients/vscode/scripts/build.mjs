// Bundles the extension into one file; VS Code itself is the only thing left outside.
import * as esbuild from "esbuild";

const production = process.argv.includes("--production");
const options = {
  entryPoints: ["src/extension.ts"],
  outfile: "out/extension.js",
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  // The ES build of the protocol packages lets unused parts fall away.
  mainFields: ["module", "main"],
  external: ["vscode"],
  minify: production,
  sourcemap: !production,
  logLevel: "info",
};

if (process.argv.includes("--watch")) {
  const context = await esbuild.context(options);
  await context.watch();
} else {
  await esbuild.build(options);
}
