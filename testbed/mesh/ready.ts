import { waitUntil } from '#testbed/wait.ts';
import type { DemoMesh } from './demo-mesh.ts';
import { FAMILIES, vip } from './shop.ts';

const READY_TIMEOUT_MS = 40_000;

/** Waits until what the checks and the visitor take for granted works: TCP on every path, HTTP through the waypoint. */
export async function waitReady(mesh: DemoMesh, signal?: AbortSignal): Promise<void> {
  const echoes = ['shopper', 'clerk'].flatMap((name) =>
    (['echo-near', 'echo-far'] as const).flatMap((service) =>
      FAMILIES.map((family) => echoReady(mesh, name, service, family, signal)),
    ),
  );
  await Promise.all([...echoes, ...FAMILIES.map((family) => shopReady(mesh, family, signal))]);
}

function echoReady(
  mesh: DemoMesh,
  name: string,
  service: 'echo-near' | 'echo-far',
  family: 4 | 6,
  signal?: AbortSignal,
): Promise<unknown> {
  return waitUntil(
    `connection from ${name} to ${service} over IPv${family}`,
    READY_TIMEOUT_MS,
    async () => {
      const { error, stage } = await mesh.probe(name).connect(vip(service, family));
      if (error !== null) throw new Error(`${error} at ${stage}`);
      return true;
    },
    signal,
  );
}

/** The whole shop answers: storefront, details, and reviews through the waypoint. */
function shopReady(mesh: DemoMesh, family: 4 | 6, signal?: AbortSignal): Promise<unknown> {
  return waitUntil(
    `complete answer of the shop over IPv${family}`,
    READY_TIMEOUT_MS,
    async () => {
      const { statuses, errors, body } = await mesh.probe('shopper').http({ ...vip('storefront', family), path: '/?book=7' });
      if (statuses['200'] !== 1) throw new Error(JSON.stringify({ statuses, errors }));
      const { details, reviews } = JSON.parse(body) as { details: { title?: string }; reviews: { reviews?: string[] } };
      if (details.title === undefined || reviews.reviews === undefined) throw new Error(JSON.stringify({ details, reviews }));
      return true;
    },
    signal,
  );
}
