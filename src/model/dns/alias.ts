import type { ServiceKey } from '#model/mesh/service.ts';

/** A name to look up in place of the asked one; `stripped` is set when a search domain was cut off to get it. */
export type Alias = { name: string; stripped: string | null };

/** The search domains of a client in a cluster, as its resolver would append them. */
export function clusterSearchDomains(namespace: string, clusterDomain: string): readonly string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

/**
 * Every name that `name` (lower case, no final dot) may stand for, in the order they are tried: as asked, completed to
 * cluster names, then the same with each search domain cut off. Source: docs/rules/node-proxy.md.
 */
export function aliasesOf(
  name: string,
  namespace: string,
  options: { clusterDomain: string; searchDomains: readonly string[] },
): readonly Alias[] {
  const aliases = new Map<string, Alias>();
  const add = (alias: string, stripped: string | null): void => {
    if (!aliases.has(alias)) aliases.set(alias, { name: alias, stripped });
  };
  add(name, null);
  for (const full of clusterNamesOf(name, namespace, options.clusterDomain)) add(full, null);
  for (const domain of options.searchDomains) {
    const stripped = withoutDomain(name, domain);
    if (stripped === null) continue;
    add(stripped, stripped);
    for (const full of clusterNamesOf(stripped, namespace, options.clusterDomain)) add(full, stripped);
  }
  return [...aliases.values()];
}

/** `a.b.c` → `a.b.c`, `*.b.c`, `*.c`: the hostnames that cover a name, most specific first. */
export function coveringHostnames(name: string): readonly string[] {
  const labels = name.split('.');
  const names = [name];
  for (let cut = 1; cut < labels.length; cut++) names.push(`*.${labels.slice(cut).join('.')}`);
  return names;
}

/**
 * The services that a name may mean to a workload, for a control plane that tells only those which it is asked for. One of the cluster
 * says in its name where it is; of other hosts only those of the workload's own namespace can be asked for.
 */
export function servicesMeant(
  question: string,
  { namespace }: { namespace: string },
  options: { clusterDomain: string; searchDomains: readonly string[] | null },
): ServiceKey[] {
  const { clusterDomain } = options;
  const searchDomains = options.searchDomains ?? clusterSearchDomains(namespace, clusterDomain);
  const name = question.toLowerCase().replace(/\.$/, '');
  if (name === '') return [];
  const names = aliasesOf(name, namespace, { clusterDomain, searchDomains }).map((alias) => alias.name);
  const ofCluster = names.flatMap((one) => clusterService(one, clusterDomain) ?? []);
  // A resolver tries what it is asked with each search domain behind it: what is left without the longest is what was meant.
  const host = names.filter((one) => name.startsWith(one)).reduce((short, one) => (one.length < short.length ? one : short));
  const isOfCluster = host === clusterDomain || host.endsWith(`.${clusterDomain}`);
  return [...new Set([...ofCluster, ...(isOfCluster ? [] : coveringHostnames(host).map((one) => `${namespace}/${one}`))])];
}

/** The key of the service of the cluster that is called so; null: none can be. */
function clusterService(name: string, clusterDomain: string): ServiceKey | null {
  const end = `.svc.${clusterDomain}`;
  const [service, namespace, ...more] = name.endsWith(end) ? name.slice(0, -end.length).split('.') : [];
  return service !== undefined && namespace !== undefined && more.length === 0 ? `${namespace}/${name}` : null;
}

function clusterNamesOf(name: string, namespace: string, clusterDomain: string): readonly string[] {
  const endsInSvc = name.endsWith('.svc');
  switch (name.split('.').length) {
    case 1:
      return [`${name}.${namespace}.svc.${clusterDomain}`];
    case 2:
      return [`${name}.svc.${clusterDomain}`, `${name}.${namespace}.svc.${clusterDomain}`];
    case 3:
      return [...(endsInSvc ? [`${name}.${clusterDomain}`] : []), `${name}.svc.${clusterDomain}`];
    case 4:
      return endsInSvc ? [`${name}.${clusterDomain}`] : [];
    default:
      return [];
  }
}

function withoutDomain(name: string, domain: string): string | null {
  return name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : null;
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;
/** Fixed by RFC 1035. */
const NAME_CHARACTERS_MAX = 253;

/** Whether text in lower case, without a final dot, is a name that may be asked for. */
export function isDnsName(text: string): boolean {
  return text.length <= NAME_CHARACTERS_MAX && text.split('.').every((label) => LABEL.test(label));
}
