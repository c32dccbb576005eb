import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';

/** Where something is, from the widest to the narrowest; '' where nobody has said. */
export type Locality = { readonly region: string; readonly zone: string; readonly subzone: string };

/** The locality of what says none. */
export const NOWHERE: Locality = { region: '', zone: '', subzone: '' };

/** Where each node is that says so, by name; what runs on it is there, too. */
export const NODE_LOCALITIES = tableOf<Locality>()('node-localities');

/** Where a node is. */
export function localityOf(mesh: MeshReader<typeof NODE_LOCALITIES>, node: string): Locality {
  return (node === '' ? null : mesh.get(NODE_LOCALITIES, node)) ?? NOWHERE;
}
