import { tableOf } from '#control-plane/index/table.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';

/** What nodes say they run, by `<node> <namespace>/<name>`: an input like the resources are. */
export const REGISTRATIONS = tableOf<RegisteredWorkload>()('registrations', {
  by: { workload: ({ namespace, name }) => [`${namespace}/${name}`] },
});

/** Key of a registration. Keys of one workload are in order of node: a space comes before all that names may hold. */
export function registrationKey(node: string, { namespace, name }: { namespace: string; name: string }): string {
  return `${node} ${namespace}/${name}`;
}

/** Which registrations each node had the last time it told, so that those it no longer names are dropped. */
export class NodeRegistrations {
  readonly #byNode = new Map<string, ReadonlySet<string>>();

  /** Key → what the table is to hold from now on; null: nothing. */
  replace(node: string, workloads: readonly RegisteredWorkload[]): Map<string, RegisteredWorkload | null> {
    const before = this.#byNode.get(node) ?? new Set<string>();
    const changes = new Map<string, RegisteredWorkload | null>([...before].map((key) => [key, null]));
    for (const workload of workloads) changes.set(registrationKey(node, workload), { ...workload, node });
    const after = new Set(workloads.map((workload) => registrationKey(node, workload)));
    if (after.size === 0) this.#byNode.delete(node);
    else this.#byNode.set(node, after);
    return changes;
  }
}
