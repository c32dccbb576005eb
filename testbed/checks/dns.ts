import { SHOP_NAMESPACE, vip } from '#testbed/apps/shop.ts';
import { FAMILIES } from '#testbed/lab/app.ts';
import { OUTSIDE_4, OUTSIDE_6, OUTSIDE_NAME } from '#testbed/nodes/plan.ts';
import { type Check, expect, logEnd, logSince } from './check.ts';

/** Names of services resolve to their addresses in a workload and go no further; other names are asked outside. */
export const dns: Check = {
  name: 'dns',
  path: '-',
  timeoutMs: 20_000,
  async run(mesh) {
    const { logPath } = mesh.app('outside-dns').child;
    const logFrom = await logEnd(logPath);
    for (const client of ['shopper', 'clerk']) {
      const resolve = async (name: string, family: 4 | 6, want: string): Promise<void> => {
        const { addresses, error } = await mesh.probe(client).resolve(name, family);
        expect(
          addresses.join() === want,
          `${client} resolves ${name} over IPv${family} to ${addresses.join() || String(error)}, not ${want}`,
        );
      };
      for (const family of FAMILIES) {
        for (const name of ['echo-far', `echo-far.${SHOP_NAMESPACE}`, `echo-far.${SHOP_NAMESPACE}.svc.cluster.local`]) {
          await resolve(name, family, vip('echo-far', family).host);
        }
        await resolve(OUTSIDE_NAME, family, family === 4 ? OUTSIDE_4 : OUTSIDE_6);
      }
      const { error } = await mesh.probe(client).resolve('nobody.outside.example', 4);
      expect(error === 'ENOTFOUND', `a name that does not exist ends with ${String(error)}, not ENOTFOUND`);
    }
    // Whatever was asked outside could be read, and answered, by others.
    const asked = await logSince(logPath, logFrom);
    expect(asked.includes(OUTSIDE_NAME), 'the resolver outside was never asked for its name');
    expect(!asked.includes('"echo-far'), 'the resolver outside was asked for the name of a service');
    return `echo-far in three spellings and ${OUTSIDE_NAME} resolve on both nodes, A and AAAA; the resolver outside never heard of echo-far`;
  },
};
