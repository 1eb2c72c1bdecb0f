interface Manifest {
  capabilities: { untrustedWorkspaces: object };
  contributes: { configuration: { title: string; properties: Record<string, unknown> }[] };
}
interface Schema {
  properties: Record<string, { description: string; scope?: string }>;
}
interface Mirrored extends Manifest {
  capabilities: { untrustedWorkspaces: { restrictedConfigurations: string[] } };
}
export function mirror(manifest: Manifest, schema: Schema): Mirrored;
