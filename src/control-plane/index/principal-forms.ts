import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';

const DEFAULT_PREFIX = `${DEFAULT_MESH_OPTIONS.trustDomain}/`;

/** A principal in all the ways it may be meant: `cluster.local` stands for whatever the mesh's trust domain is. */
export function principalForms(value: string, trustDomain: string): string[] {
  if (!value.startsWith(DEFAULT_PREFIX) || DEFAULT_PREFIX === `${trustDomain}/`) return [value];
  return [value, `${trustDomain}/${value.slice(DEFAULT_PREFIX.length)}`];
}

/** A trust domain as a pattern of principals; null for a suffix, which a pattern of the whole text cannot say. */
export function trustDomainPattern(value: string): string | null {
  if (value === '*') return '*';
  if (value.startsWith('*')) return null;
  return value.endsWith('*') ? value : `${value}/*`;
}
