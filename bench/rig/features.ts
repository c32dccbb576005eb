import { createSign, generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from '#testbed/processes/command.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { manyPoliciesYaml, manyRoutesYaml } from './many-rules.ts';
import { NAMESPACE, type Rig, wayOfClient } from './rig.ts';
import type { Way } from './way.ts';
import { type WebWays, webServiceYaml } from './web.ts';

/** Of services that are alike but for one thing. */
const VIP = {
  unlogged: '10.96.0.30',
  unmetered: '10.96.0.31',
  routes: '10.96.0.32',
  policies: '10.96.0.33',
  token: '10.96.0.34',
  limited: '10.96.0.35',
} as const;

const IN_FORCE_MS = 20_000;
const DAY_S = 86_400;
const ISSUER = 'https://issuer.bench';

/** Ways to one origin through the waypoint: `plain` logs and counts, as every service does where nobody says otherwise. */
export type FeatureWays = Record<keyof typeof VIP | 'plain', Way> & {
  /** What `token` is sent: Authorization and its value. */
  authorization: string;
};

/** Adds services to the mesh that each have one feature that `plain` has not, or lack one that it has. */
export async function meshFeatures(rig: Rig, { http1, proxy }: WebWays): Promise<FeatureWays> {
  const { jwks, token } = issue();
  const services = Object.entries(VIP).map(([name, address]) => webServiceYaml(name, address, 'http1'));
  const said = [telemetryYaml('unlogged', 'accessLogging: [{ disabled: true }]'), telemetryYaml('unmetered', UNMETERED)];
  const yaml = [
    ...services,
    ...said,
    manyRoutesYaml(NAMESPACE, 'routes'),
    manyPoliciesYaml(NAMESPACE, 'policies'),
    authenticationYaml(jwks),
    LIMIT_YAML,
  ];
  await writeFile(join(rig.lab.configDir, 'features.yaml'), yaml.join('---\n'));
  const carriers = [proxy, rig.agents.alpha.pid];
  const way = (name: keyof typeof VIP): Promise<Way> => wayOfClient(rig, { host: VIP[name], port: '80', carriers });
  const ways = {
    plain: http1,
    unlogged: await way('unlogged'),
    unmetered: await way('unmetered'),
    routes: await way('routes'),
    policies: await way('policies'),
    token: await way('token'),
    limited: await way('limited'),
  };
  // A configuration is in force as a whole: with this part of it all others are.
  await waitUntil(
    'tokens are looked at',
    IN_FORCE_MS,
    async () => (await statusOf(ways.token, 'Bearer made.up.token')) === '401',
  );
  return { ...ways, authorization: `authorization: Bearer ${token}` };
}

/** '000' as long as the mesh does not know the address: what is sent there is then lost. */
function statusOf(way: Way, authorization: string): Promise<string> {
  const asked = ['-H', `authorization: ${authorization}`, `http://${way.host}:${way.port}/kib`];
  return command(way.atClient(['sh', '-c', 'curl -s -m 1 -o /dev/null -w "%{http_code}" "$@" || true', 'sh', ...asked]));
}

/** Keys as most issuers have them, and a token that is good for as long as any bench takes. */
function issue(): { jwks: string; token: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: ISSUER, sub: 'load', exp: Math.floor(Date.now() / 1_000) + DAY_S };
  const signed = `${encode({ alg: 'RS256', kid: 'bench', typ: 'JWT' })}.${encode(claims)}`;
  const signature = createSign('RSA-SHA256').update(signed).sign(privateKey).toString('base64url');
  const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'RS256' }] });
  return { jwks, token: `${signed}.${signature}` };
}

function telemetryYaml(service: string, said: string): string {
  return `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: ${service}, namespace: ${NAMESPACE} }
spec:
  targetRefs: [{ group: "", kind: Service, name: ${service} }]
  ${said}
`;
}

const UNMETERED = 'metrics: [{ providers: [{ name: prometheus }], overrides: [{ disabled: true }] }]';

function authenticationYaml(jwks: string): string {
  return `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: token, namespace: ${NAMESPACE} }
spec:
  targetRefs: [{ group: "", kind: Service, name: token }]
  jwtRules: [{ issuer: ${ISSUER}, jwks: '${jwks}' }]
`;
}

/** Far above any load, with a key, so that each request finds its bucket. */
const LIMIT_YAML = `apiVersion: weft.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: limited, namespace: ${NAMESPACE} }
spec:
  targetRefs: [{ kind: Service, name: limited }]
  rateLimit: { rules: [{ name: each, key: [{ type: SourceServiceAccount }], limit: { requests: 1000000, window: 1s } }] }
`;
