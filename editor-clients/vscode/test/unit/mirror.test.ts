import assert from "node:assert/strict";
import { test } from "node:test";
import { mirror } from "../../scripts/mirror.mjs";

const manifest: Parameters<typeof mirror>[0] = {
  capabilities: { untrustedWorkspaces: { supported: "limited" } },
  contributes: {
    configuration: [
      { title: "Extension", properties: { "midfill.client.python": {} } },
      { title: "Language Server", properties: { "midfill.old": {} } },
    ],
  },
};
const schema = {
  properties: {
    "midfill.budgetMs": { type: "integer", default: 1, description: "Milliseconds." },
    "midfill.engine.command": { type: "array", default: [], description: "C.", scope: "machine" },
  },
};

test("the server's settings replace those of before, in order; ours stay", () => {
  const { contributes } = mirror(manifest, schema);
  assert.deepEqual(contributes.configuration[0], manifest.contributes.configuration[0]);
  assert.deepEqual(contributes.configuration[1]?.properties, {
    "midfill.budgetMs": {
      type: "integer",
      default: 1,
      markdownDescription: "Milliseconds.",
      scope: "resource",
      order: 1,
    },
    "midfill.engine.command": {
      type: "array",
      default: [],
      markdownDescription: "C.",
      scope: "machine",
      order: 2,
    },
  });
});

test("a workspace that is not trusted cannot set what starts programs", () => {
  const { capabilities } = mirror(manifest, schema);
  assert.deepEqual(capabilities.untrustedWorkspaces.restrictedConfigurations, [
    "midfill.engine.command",
  ]);
});
