import { createHash } from 'node:crypto';
import { isNotLeader, notLeader } from '#model/effects/replica.ts';
import type { StateStore } from '#model/effects/state-store.ts';
import { messageOf, WeftError } from '#model/error.ts';
import type { KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';
import type { KubernetesObjects } from './objects.ts';

/** Where what is kept lies. */
export const SECRETS: ServedKind = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };
/** By this label its Secrets are found; the value tells control planes of one namespace apart. */
export const OF_LABEL = 'weft.dev/state-of';
/** The name of a text, which may hold what a Secret's may not. */
const NAME_ANNOTATION = 'weft.dev/state-name';
/** Fixed here: the key of the text. */
const TEXT_KEY = 'text';
/** Hexadecimal digits of a hash: no two names meet. */
const HASH_DIGITS = 20;

/**
 * What a control plane keeps, as Secrets of its namespace: one for each text. `owner`: name of the control plane. Whoever
 * leads writes; whoever may read Secrets there has the key of the mesh, as with every control plane on Kubernetes. Errors of the writes:
 * WEFT_NOT_LEADER, too.
 */
export function secretState(
  objects: KubernetesObjects,
  { namespace, owner }: { namespace: string; owner: string },
  lead: { leads(): boolean; leader(): string | null },
): StateStore {
  const mustLead = (): void => {
    if (!lead.leads()) throw notLeader(lead.leader());
  };
  const nameOf = (name: string): string =>
    `${owner}-state-${createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS)}`;
  const placeOf = (name: string) => ({ namespace, name: nameOf(name) });
  return {
    read: (name) =>
      failing(`read of ${name}`, async () => {
        const secret = await objects.get(SECRETS, placeOf(name));
        return secret === null ? null : textOf(secret);
      }),
    write: (name, text) =>
      failing(`write of ${name}`, async () => {
        mustLead();
        const object = {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: nameOf(name), namespace, labels: { [OF_LABEL]: owner }, annotations: { [NAME_ANNOTATION]: name } },
          data: { [TEXT_KEY]: Buffer.from(text).toString('base64') },
        };
        // Whoever writes is alone: it leads.
        if ((await objects.create(SECRETS, object)) === null) await objects.replace(SECRETS, object);
      }),
    remove: (name) =>
      failing(`removal of ${name}`, async () => {
        mustLead();
        await objects.remove(SECRETS, placeOf(name));
      }),
    list: (prefix) =>
      failing('list', async () => {
        const secrets = await objects.list(SECRETS, namespace, `${OF_LABEL}=${owner}`);
        const names = secrets.map(({ metadata: { annotations } }) => annotations?.[NAME_ANNOTATION] ?? '');
        return names.filter((name) => name !== '' && name.startsWith(prefix)).sort();
      }),
  };
}

/** What one of its Secrets holds; null: it is none. */
export function keptIn(secret: KubeObject): { name: string; text: string } | null {
  const name = secret.metadata.annotations?.[NAME_ANNOTATION];
  const text = textOf(secret);
  return name === undefined || text === null ? null : { name, text };
}

function textOf({ data }: KubeObject): string | null {
  const { [TEXT_KEY]: text } = (data ?? {}) as Record<string, string | undefined>;
  return text === undefined ? null : Buffer.from(text, 'base64').toString('utf8');
}

/** As every state store fails. */
async function failing<Result>(what: string, attempt: () => Promise<Result>): Promise<Result> {
  try {
    return await attempt();
  } catch (cause) {
    if (isNotLeader(cause)) throw cause;
    throw new WeftError('WEFT_STATE_DIR', `the Secrets of the control plane fail: ${what}: ${messageOf(cause)}`, {
      cause,
      remedy: 'see that its account may get, list, create, update and delete Secrets in its namespace',
    });
  }
}
