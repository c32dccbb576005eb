import type { TokenIssuer } from '#control-plane/authentication/authenticator.ts';
import type { AddressPools } from '#control-plane/registry/address-pools.ts';
import type { Clock } from '#model/effects/clock.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import type { NodeGrant } from '#model/trust/grant.ts';

/** Service account of every agent, in the root namespace. */
const AGENT_ACCOUNT = 'weft-agent';

/** A token and when it ends. */
export type AgentToken = { token: string; expiresAtMs: number };

/** Makes the tokens of agents, and takes them back. */
export class AgentTokens {
  readonly #tokens: TokenIssuer;
  readonly #pools: AddressPools;
  readonly #rootNamespace: string;
  readonly #clock: Clock;

  constructor(options: { tokens: TokenIssuer; pools: AddressPools; rootNamespace: string; clock: Clock }) {
    this.#tokens = options.tokens;
    this.#pools = options.pools;
    this.#rootNamespace = options.rootNamespace;
    this.#clock = options.clock;
  }

  /**
   * The same as `mint` with ranges of addresses that no other node has: those of the grant, or when it names none, some of its own.
   * Errors: those of the address pools.
   */
  async issue(node: string, grant: NodeGrant, ttlMs: number | null): Promise<AgentToken & { addresses: readonly string[] }> {
    const addresses = await this.#pools.assign(node, grant.addresses);
    return { ...(await this.mint(node, { ...grant, addresses }, ttlMs)), addresses };
  }

  /** A token for the agent of `node`, which is trusted with `grant` and nothing else; ttlMs null: the default. */
  async mint(node: string, grant: NodeGrant, ttlMs: number | null): Promise<AgentToken> {
    const lastsMs = ttlMs ?? CERTIFICATE.agentTokenMs;
    const subject = { namespace: this.#rootNamespace, serviceAccount: AGENT_ACCOUNT, node, grant };
    return { token: await this.#tokens.mint(subject, lastsMs), expiresAtMs: this.#clock.nowMs() + lastsMs };
  }

  /** Every token of a node that was made until now is worth nothing. `freeAddresses`: other nodes may be given what it had. Errors: those of the store. */
  async revoke(node: string, freeAddresses: boolean): Promise<void> {
    await this.#tokens.revoke(node);
    if (freeAddresses) await this.#pools.free(node);
  }
}
