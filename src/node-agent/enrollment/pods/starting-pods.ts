import { messageOf, WeftError } from '#model/error.ts';
import { meantNamespaces } from '#model/mesh/membership.ts';
import { AGENT } from '#model/settings/agents.ts';
import { keyText } from '#node-agent/enrollment/local-run/workload-key.ts';
import { agentLeaving } from '#node-agent/enrollment/under-way.ts';
import { Hearing } from './hearing.ts';
import type { PodEffects } from './pod-effects.ts';
import type { PodSandbox } from './pod-network.ts';
import type { TakenPod } from './taken-pod.ts';

/** What pods that start need to know of all others. */
export type KnownPods = {
  /** By namespace and name; null: nobody has told of it yet. */
  find(key: string): TakenPod | null;
  /** Whether it is to be in the mesh now. */
  isWanted(one: TakenPod): boolean;
  /** One more is in. */
  entered(): void;
  /** Asks for it in vain: by that the API server is found to be back. */
  seek(pod: PodSandbox['pod']): void;
  /** Why pods may not be told of, a sentence each. */
  problems(): readonly string[];
};

/** Pods that are about to start. Their runtime asks for each of them, and waits until it is in the mesh, or is not meant to be. */
export class StartingPods {
  readonly #effects: Pick<PodEffects, 'network' | 'clock' | 'log'>;
  readonly #known: KnownPods;
  readonly #hearing: Hearing;
  /** Namespaces that were written last; null: they could not be, or never were. */
  #listed: string | null = null;
  /** Those that were told last. */
  #names: readonly string[] = [];
  #left = false;

  constructor(effects: Pick<PodEffects, 'network' | 'clock' | 'log'>, known: KnownPods) {
    this.#effects = effects;
    this.#known = known;
    this.#hearing = new Hearing(effects.clock);
  }

  /** Begins to be asked. What is known by then counts already. */
  open(): void {
    const { network, log } = this.#effects;
    network
      .open((sandbox) => this.#add(sandbox))
      .catch((error: unknown) => log.error({ error: messageOf(error) }, 'pods that start are not asked for'));
  }

  /** Everything there is was told once, and something more by now. */
  told(namespaces: Parameters<typeof meantNamespaces>[0], pods: readonly TakenPod[]): void {
    this.#names = meantNamespaces(
      namespaces,
      pods.map(({ pod }) => pod),
    );
    this.#list();
    this.#hearing.heard();
  }

  /** Whoever waits is told to ask the next agent. */
  leave(): void {
    this.#left = true;
    this.#hearing.heard();
  }

  /** Resolves when the pod may start. Errors: why it has to wait; WEFT_AGENT_LEAVING: another agent is to be asked. */
  async #add({ pod, addresses, place }: PodSandbox): Promise<void> {
    // Its kubelet has heard of it, so that the API server answers, whatever was the matter before.
    if (this.#known.problems().length > 0 && this.#known.find(keyText(pod)) === null) this.#known.seek(pod);
    const one = await this.#hearing.until(AGENT.cniKnownMs, () => {
      if (this.#left) return 'left';
      const known = this.#known.find(keyText(pod));
      return known !== null && [known.pod.uid, known.pod.runtimeUid].includes(pod.uid) ? known : null;
    });
    if (one === 'left') throw agentLeaving();
    if (one === null) throw untold(this.#known.problems());
    one.arrived(addresses);
    if (!this.#known.isWanted(one)) return;
    await one.enter(place, true);
    this.#known.entered();
  }

  /** What no agent can tell while there is none: whose pods have to wait for one. */
  #list(): void {
    const text = this.#names.join();
    if (text === this.#listed) return;
    this.#listed = text;
    const { network, clock, log } = this.#effects;
    network.list(this.#names).catch((error: unknown) => {
      this.#listed = null;
      log.error({ error: messageOf(error) }, 'the list of namespaces in the mesh cannot be written');
      clock.after(AGENT.cniLookMs, () => this.#left || this.#list());
    });
  }
}

function untold(problems: readonly string[]): WeftError {
  const why = problems.length === 0 ? 'the API server has not told of it' : problems.join('; ');
  return new WeftError('WEFT_POD_UNKNOWN', `the agent of Weft on this node does not know the pod yet: ${why}`, {
    remedy: 'its kubelet tries again; if that goes on, see kubectl logs -n istio-system daemonset/weft-agent',
  });
}
