import { accessSync, constants, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import type { ControlAccess } from '#cli/agent.ts';
import { WeftError } from '#model/error.ts';
import { type NodeGrant, tryParseGrant } from '#model/trust/grant.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';

const PACKAGE = join(WEFT_ROOT, 'package.json');

/** The version of this source tree; parts tell theirs, and `weft status` compares it with its own. */
export function weftVersion(): string {
  const text = readFileSync(PACKAGE, 'utf8');
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? 'unknown';
}

/** The mesh's one cluster, as every client of discovery names it. */
export const CLUSTER_ID = 'Kubernetes';

/** The name that the control plane's certificate always carries; behind a unix socket there is no other. */
const LOCAL_SERVER_NAME = 'localhost';

/**
 * The control plane as a client reaches it. The files are read anew for each connection, so they may be replaced.
 * Errors: WEFT_CONTROL_FILE when one of them cannot be read now.
 */
export function controlEndpoint({ address, rootFile, tokenFile, serverName }: ControlAccess): ControlEndpoint {
  requireFile(
    rootFile,
    'the root certificate of the control plane',
    'copy root-cert.pem from its state directory, and name it with --control-root',
  );
  requireFile(tokenFile, 'the token of this node', 'make one with weft token NODE where the control plane runs');
  return {
    address,
    rootsPem: () => readFile(rootFile, 'utf8'),
    token: () => readFile(tokenFile, 'utf8'),
    serverName: serverName ?? (address.startsWith('unix:') ? LOCAL_SERVER_NAME : null),
    clusterId: CLUSTER_ID,
  };
}

/** What the token of a node says of it; null for a token of somebody else's making. It is the control plane that checks it. */
export async function grantOf(control: ControlEndpoint): Promise<NodeGrant | null> {
  try {
    return tryParseGrant(decodeJwt((await control.token()).trim()).grant);
  } catch {
    return null;
  }
}

/** Checked at the start, by a person who is there to mend it, and not at the first connection. */
function requireFile(path: string, what: string, remedy: string): void {
  try {
    accessSync(path, constants.R_OK);
    if (readFileSync(path, 'utf8').trim() === '') throw new Error('it is empty');
  } catch (cause) {
    throw new WeftError('WEFT_CONTROL_FILE', `cannot read ${what} from ${path}`, { cause, remedy });
  }
}
