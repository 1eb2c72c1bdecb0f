// How the language server's settings look in package.json.

const TITLE = "Language Server";

/** The manifest with the schema's properties as its second block of settings. */
export function mirror(manifest, schema) {
  const properties = Object.fromEntries(
    Object.entries(schema.properties).map(([name, property], index) => [
      name,
      setting(property, index + 1),
    ]),
  );
  const own = manifest.contributes.configuration.filter(({ title }) => title !== TITLE);
  const all = Object.assign({}, ...own.map((block) => block.properties), properties);
  const machine = Object.keys(all).filter((name) => all[name].scope === "machine");
  return {
    ...manifest,
    capabilities: {
      ...manifest.capabilities,
      untrustedWorkspaces: {
        ...manifest.capabilities.untrustedWorkspaces,
        restrictedConfigurations: machine,
      },
    },
    contributes: {
      ...manifest.contributes,
      configuration: [...own, { title: TITLE, properties }],
    },
  };
}

/** Descriptions hold code in backticks, which only markdown shows; a resource may differ. */
function setting({ description, scope, ...property }, order) {
  return {
    ...property,
    markdownDescription: description,
    scope: scope ?? "resource",
    order,
  };
}
