import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CertificateAuthority } from '#control-plane/ca/authority.ts';
import { caStatus, rotateRoot } from '#control-plane/ca/ca-status.ts';
import type { RootRotations } from '#control-plane/ca/root-rotation.ts';
import { dialledAddress } from '#control-plane/ca/server-certificate.ts';
import type { ControlPlane } from '#control-plane/control-plane.ts';
import type { ResourceDesk } from '#control-plane/desk/resource-desk.ts';
import type { MeshIndex } from '#control-plane/index/mesh-index.ts';
import { describe, type Subject } from '#control-plane/status/describe.ts';
import { answerControlApi } from '#control-plane/status/local-api.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { NodeGrant } from '#model/trust/grant.ts';
import { serveLocalSocket } from '#platform/local-api/serve-socket.ts';
import { processLogLevel } from '#platform/telemetry/log.ts';
import type { ControlStatus, TokenResponse } from '#protocol/api/control.ts';

/** What the API is about. */
export type ApiParts = {
  control: ControlPlane;
  index: MeshIndex;
  authority: CertificateAuthority;
  rotations: RootRotations | null;
  desk: ResourceDesk;
};

/** What is told of the server beside it. */
export type ApiFrame = { status: () => ControlStatus; address: string; serverNames: readonly string[] };

/** Calls that need no mesh: they are answered while what was in force before a restart is still derived again. */
const AT_ONCE: ReadonlySet<string> = new Set(['/v1/status', '/v1/tokens', '/v1/tokens/revoke', '/v1/ca', '/v1/log-level']);

/**
 * The local API for this machine's root: directory and socket are for root alone, as it hands out tokens. Returns what ends it.
 * Errors: WEFT_ALREADY_RUNNING.
 */
export async function serveApi(
  socketPath: string,
  { control, index, authority, rotations, desk }: ApiParts,
  { status, address, serverNames }: ApiFrame,
): Promise<() => Promise<void>> {
  await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
  const mintToken = async (node: string, grant: NodeGrant, ttlMs: number | null): Promise<TokenResponse> => {
    const { token, expiresAtMs, addresses } = await control.agentTokens.issue(node, grant, ttlMs);
    return {
      token,
      addresses,
      expiresAt: new Date(expiresAtMs).toISOString(),
      rootsPem: authority.rootsPem,
      address: dialledAddress(serverNames, address),
    };
  };
  const described = async (subject: Subject) => {
    // In the middle of a change the index is nothing to look at.
    await control.settled();
    return describe(index.snapshot(), subject);
  };
  const stopWaypoints = async () => control.waypoints?.stopAll();
  const revokeTokens = (node: string, freeAddresses: boolean) => control.revokeAgentTokens(node, freeAddresses);
  const ca = { status: () => caStatus(authority, rotations), rotate: () => rotateRoot(authority, rotations) };
  const api = { ca, status, describe: described, mintToken, revokeTokens, stopWaypoints, desk, logLevel: processLogLevel };
  const answer = async (method: string, path: string, body: string) => {
    if (!AT_ONCE.has(path)) await control.begun;
    return answerControlApi(api, method, path, body);
  };
  return serveLocalSocket(socketPath, answer, RESOURCE.appliedBytesMax);
}
