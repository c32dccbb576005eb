import { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { byPlace, type Finding } from '#control-plane/resources/finding.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import { DirectorySource, type FileSnapshot } from './directory-source.ts';

/**
 * Everything wrong with a set of files, as the control plane would report it, in order of place: documents
 * that it would reject, and references and policies that would not do what they say.
 */
export function validateFiles(
  files: FileSnapshot,
  parser: ResourceParser,
  options: MeshOptions = DEFAULT_MESH_OPTIONS,
): Finding[] {
  const source = new DirectorySource(parser);
  const { upserted, findings } = source.apply(files);
  const { problems } = new MeshIndex(options).apply({ upserted });
  return [...findings, ...source.locate(problems)].sort(byPlace);
}
