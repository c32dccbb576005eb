import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { messageOf, WeftError } from '#model/error.ts';
import { AGENT } from '#model/settings/agents.ts';
import { type AddRequest, namespacesText, PASS_REPLY, readAddRequest, refusal } from '#protocol/cni/messages.ts';
import type { ChainKeeper } from './chain-keeper.ts';
import type { PodNetwork, PodSandbox } from './pod-network.ts';

/** What standing in the chain does to the node. */
export type ChainedEffects = {
  chain: Pick<ChainKeeper, 'keep' | 'close' | 'leave' | 'problem'>;
  /** Answers the plugin; null: nothing, and it asks again. Returns what ends that. Errors: WEFT_SOCKET_PATH. */
  serve(answer: (request: string) => Promise<string | null>): Promise<() => void>;
  /** Puts the plugin's program in place. Errors: the system's. */
  install(): Promise<void>;
  /** Writes what the plugin reads while nobody answers. Errors: the system's. */
  writeNamespaces(text: string): Promise<void>;
  /** Removes socket and list. Errors: the system's. */
  removeFiles(): Promise<void>;
  /** The network namespace at a path; null: there is none, or it is the node's own. */
  namespaceAt(path: string): (PodSandbox['place'] & { addresses: ReadonlySet<string> }) | null;
  clock: Clock;
  log: Log;
};

/** The network of the pods of a node, where our plugin stands in the chain of those that make it. */
export class ChainedNetwork implements PodNetwork {
  readonly #effects: ChainedEffects;
  #closeSocket = (): void => {};
  #cancelInstall: Cancel = () => {};
  #problem: string | null = null;
  #isRemoved = false;

  constructor(effects: ChainedEffects) {
    this.#effects = effects;
  }

  /** The entry last: without the program no pod of the node could start, and without an agent those of the mesh. */
  async open(add: (sandbox: PodSandbox) => Promise<void>): Promise<void> {
    try {
      this.#closeSocket = await this.#effects.serve((request) => this.#answer(request, add));
    } catch (error) {
      this.#problem = messageOf(error);
      throw error;
    }
    await this.#install();
  }

  /** Again while it fails: a full disk has room again some time, and pods start meanwhile. */
  async #install(): Promise<void> {
    const { install, chain, clock, log } = this.#effects;
    try {
      await install();
    } catch (error) {
      this.#problem = messageOf(error);
      log.error({ error: this.#problem }, 'weft-cni cannot be put onto this node, and is tried again');
      this.#cancelInstall = clock.after(AGENT.cniLookMs, () => void this.#install().catch(toLastResort));
      return;
    }
    this.#problem = null;
    await chain.keep();
  }

  list(namespaces: readonly string[]): Promise<void> {
    return this.#effects.writeNamespaces(namespacesText(namespaces));
  }

  problem(): string | null {
    return this.#problem ?? this.#effects.chain.problem;
  }

  close(): void {
    this.#cancelInstall();
    this.#effects.chain.close();
    this.#closeSocket();
  }

  async remove(): Promise<void> {
    const { chain, clock, log, removeFiles } = this.#effects;
    this.#isRemoved = true;
    this.#cancelInstall();
    try {
      await this.list([]); // should this agent end too early
      await chain.leave();
      // The runtime reads the folder when it hears of that, and a pod may be on its way through the chain.
      await new Promise<void>((resolve) => clock.after(AGENT.cniReloadMs, resolve));
      this.#closeSocket();
      await removeFiles();
    } catch (error) {
      log.error({ error: messageOf(error) }, 'weft-cni cannot be taken out of the chain of this node');
    }
  }

  /** Null: another agent is to be asked. */
  async #answer(text: string, add: (sandbox: PodSandbox) => Promise<void>): Promise<string | null> {
    if (this.#isRemoved) return PASS_REPLY;
    let cniVersion = '1.0.0';
    try {
      const request = readAddRequest(text);
      cniVersion = request.cniVersion;
      await add(this.#sandboxOf(request));
      return PASS_REPLY;
    } catch (error) {
      if (error instanceof WeftError && error.code === 'WEFT_AGENT_LEAVING') return null;
      this.#effects.log.error({ error: messageOf(error) }, 'a pod cannot start yet');
      const remedy = error instanceof WeftError && error.remedy !== undefined ? ` (${error.remedy})` : '';
      return refusal(cniVersion, `${messageOf(error)}${remedy}`);
    }
  }

  /** Errors: WEFT_POD_NETNS when the pod's namespace cannot be opened from here, or is not the pod's. */
  #sandboxOf({ pod, addresses, netnsPaths }: AddRequest): PodSandbox {
    const found = netnsPaths.map((path) => this.#effects.namespaceAt(path));
    const place = found.find((one) => one !== null && addresses.some((ip) => one.addresses.has(ip)));
    if (place !== null && place !== undefined) return { pod, addresses, place: { path: place.path, inode: place.inode } };
    throw new WeftError(
      'WEFT_POD_NETNS',
      `the agent of Weft finds no network namespace with the pod's address at ${netnsPaths[0]}`,
      {
        remedy: 'see that the agent has hostPID and /run/netns of its node',
      },
    );
  }
}
