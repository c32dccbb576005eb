import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { byPlace, type Finding } from '#control-plane/resources/finding.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { ConfigFiles, type FileSnapshot } from '#control-plane/sources/directory/config-files.ts';

/**
 * Everything wrong with a set of files, as the control plane would report it, in order of place: documents
 * that it would reject, and references and policies that would not do what they say.
 */
export function validateFiles(
  snapshot: FileSnapshot,
  parser: ResourceParser,
  options: MeshOptions = DEFAULT_MESH_OPTIONS,
): Finding[] {
  const files = new ConfigFiles(parser);
  const { upserted } = files.apply(snapshot);
  const { problems } = new MeshIndex(options).apply({ upserted });
  return [...files.findings(), ...files.locate(problems)].sort(byPlace);
}
