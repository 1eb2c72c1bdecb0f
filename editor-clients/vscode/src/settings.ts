/**
 * The settings of the section `midfill`.
 *
 * Those of the language server are mirrored in `package.json` by `scripts/settings.mjs`; those of
 * this extension are `midfill.client.*`. Only what somebody set is sent to the server, because a
 * default sent as if it were a wish would win over the user's `midfill.toml`.
 */
import * as vscode from "vscode";

export const SECTION = "midfill";

export interface ClientSettings {
  readonly serverPath: string;
  readonly python: string;
  readonly package: string;
  readonly unsure: "dim" | "plain" | "hold";
}

export function clientSettings(): ClientSettings {
  const section = vscode.workspace.getConfiguration(SECTION);
  return {
    serverPath: section.get("client.serverPath", ""),
    python: section.get("client.python", ""),
    package: section.get("client.package", "midfill[engine]"),
    unsure: section.get("display.unsure", "dim"),
  };
}

/** The names in the section without its prefix, as `package.json` has them. */
export function settingNames(manifest: unknown): string[] {
  const { contributes } = manifest as {
    contributes: { configuration: { properties: Record<string, unknown> }[] };
  };
  return contributes.configuration
    .flatMap(({ properties }) => Object.keys(properties))
    .map((name) => name.slice(SECTION.length + 1));
}

/** What somebody set for a resource, by dotted name. */
export function explicitSettings(
  names: readonly string[],
  scope?: vscode.Uri,
): Record<string, unknown> {
  const section = vscode.workspace.getConfiguration(SECTION, scope ?? null);
  const entries = names.map((name) => [name, explicitValue(section, name)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function explicitValue(section: vscode.WorkspaceConfiguration, name: string): unknown {
  const found = section.inspect(name);
  const levels = [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue];
  // `get` merges objects over the levels and respects trust; it is only asked when one is set.
  return levels.every((value) => value === undefined) ? undefined : section.get(name);
}
