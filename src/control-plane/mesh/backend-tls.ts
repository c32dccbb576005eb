import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { byAge, type Metadata } from '#control-plane/resources/metadata.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';

/** What a BackendTLSPolicy says of one target, or of the port of it that `section` names. */
export type AttachedTls = {
  /** `Service shop/reviews`, `ServiceEntry shop/api`. */
  target: string;
  section: string | null;
  tls: UpstreamTls;
  metadata: Pick<Metadata, 'createdAtMs' | 'namespace' | 'name'>;
};

/** What these policies say, by policy and place in it; found by the target. */
export const ATTACHED_TLS = tableOf<AttachedTls>()('attached-tls', { by: { target: ({ target }) => [target] } });

/** Who speaks of a target, or of a section of it: the oldest, whatever it says; null: nobody (config-api 1.16). */
export function tlsSpeaker(mesh: MeshReader<typeof ATTACHED_TLS>, target: string, section: string | null): AttachedTls | null {
  const said = mesh.valuesBy(ATTACHED_TLS, 'target', target).filter((one) => one.section === section);
  return said.toSorted(byAge)[0] ?? null;
}
