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

/**
 * What somebody set for a resource, by dotted name. Names in `told` are answered even when nobody
 * sets them any more: the server would go on with the value that it was told before.
 */
export function explicitSettings(
  names: readonly string[],
  told: Set<string>,
  scope?: vscode.Uri,
): Record<string, unknown> {
  const section = vscode.workspace.getConfiguration(SECTION, scope ?? null);
  const wanted = names.filter((name) => told.has(name) || isSet(section, name));
  for (const name of wanted) told.add(name);
  return Object.fromEntries(wanted.map((name) => [name, section.get(name)]));
}

function isSet(section: vscode.WorkspaceConfiguration, name: string): boolean {
  const found = section.inspect(name);
  const levels = [found?.globalValue, found?.workspaceValue, found?.workspaceFolderValue];
  return levels.some((value) => value !== undefined);
}
