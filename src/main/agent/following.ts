import { decodeJwt, type JWTPayload } from 'jose';
import type { Cancel } from '#model/effects/clock.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { EarlyMesh } from '#node-agent/early-mesh.ts';
import { discoveryNodeOf } from '#node-agent/follow-mesh.ts';
import type { TokenTerm } from '#node-agent/status/agent-status.ts';
import { systemClock } from '#platform/clock.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import type { AgentProcessOptions } from './effects.ts';

/** The control plane, as a node follows it: `mesh` keeps what is told until an agent opens it. */
export type Following = { discovery: DiscoveryClient; mesh: EarlyMesh };

/** Follows the mesh as the control plane tells it; call start() on the client. Errors: those of the node's token. */
export async function followMesh({ place, log, mishaps, control, onDemand }: AgentProcessOptions): Promise<Following> {
  const { sub = '' } = await tokenClaims(control);
  const mesh = new EarlyMesh();
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: discoveryNodeOf(place.node, control.clusterId, sub),
    waypoint: null,
    onDemand,
    clock: systemClock,
    log,
    mishaps,
    onMesh: (delta, answers) => mesh.onMesh(delta, answers),
    onConnected: () => mesh.onConnected(),
  });
  // The state of the mesh that could not be put in force is not the whole one: the agent goes on as before its first sync.
  discovery.synced.then(() => mesh.onSynced()).catch((error: unknown) => mishaps.report('discovery', error));
  return { discovery, mesh };
}

/** The term of the node's token, as of the last look: its file may be replaced by another one. */
export async function followToken(
  control: AgentProcessOptions['control'],
): Promise<{ term: () => TokenTerm | null; close: Cancel }> {
  let term: TokenTerm | null = null;
  const look = async (): Promise<void> => {
    try {
      const { exp, iat } = await tokenClaims(control);
      term = exp === undefined ? null : { untilMs: exp * 1_000, issuedMs: iat === undefined ? null : iat * 1_000 };
    } catch {
      // A file that is being replaced is looked at again; that a token is refused is told by the calls that need it.
    }
  };
  await look();
  const close = systemClock.every(AGENT.tokenLookMs, () => {
    look().catch(toLastResort);
  });
  return { term: () => term, close };
}

/** What the node's token says of itself. It is the control plane that checks it. Errors: WEFT_CONTROL_TOKEN, those of reading it. */
async function tokenClaims({ token }: AgentProcessOptions['control']): Promise<JWTPayload> {
  const text = (await token()).trim();
  try {
    return decodeJwt(text);
  } catch (cause) {
    throw new WeftError('WEFT_CONTROL_TOKEN', 'what --token-file names holds no token', {
      cause,
      remedy: 'make one with weft token NODE where the control plane runs, and put what it prints into that file',
    });
  }
}
