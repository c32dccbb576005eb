import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Log } from '#model/effects/log.ts';
import type { ProcessShares } from '#model/share/process-shares.ts';
import type { Leave } from '#model/share/shares.ts';
import { CLOSE_CAUSES } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';

/** Whose place it is. */
export type PlaceHolder = { readonly share: number; readonly name: string; readonly namespace: string };

/** On which side of its connection the workload is. */
export type PlaceSide = 'source' | 'destination';

/**
 * The connections that this process can carry are as many as its descriptors allow, and belong to the workloads in shares: to
 * the one that opens it, or to which it comes. The kernel refuses most of what is too much at connect(); here is what comes
 * from other nodes and in plain text, and what was accepted late.
 */
export class Places {
  readonly #shares: ProcessShares;
  readonly #report: { log: Log; meters: Meters };

  /** `shares`: of the whole process, whichever thread takes them. */
  constructor(shares: ProcessShares, report: { log: Log; meters: Meters }) {
    this.#shares = shares;
    this.#report = report;
  }

  /** Places that are taken. */
  get size(): number {
    return this.#shares.size;
  }

  /** Takes a place; the result gives it back. Null: it was refused, and that is told. */
  enter(workload: PlaceHolder, side: PlaceSide): Leave | null {
    const leave = this.#shares.enter(workload.share);
    if (leave === null) this.#tell(workload, side);
    return leave;
  }

  /** A handler whose streams hold a place from their arrival to their end; one for which there is none is reset. */
  admitted<Holder extends PlaceHolder>(
    side: PlaceSide,
    handle: (workload: Holder, stream: ByteStream) => void,
  ): (workload: Holder, stream: ByteStream) => void {
    return (workload, stream) => {
      const leave = this.enter(workload, side);
      if (leave === null) return stream.reset();
      stream.onOver(leave);
      handle(workload, stream);
    };
  }

  /** Work that is no accepted stream of its own holds a place until it ends. */
  async during(workload: PlaceHolder, side: PlaceSide, work: () => Promise<void>, refuse: () => void): Promise<void> {
    const leave = this.enter(workload, side);
    if (leave === null) return refuse();
    try {
      await work();
    } finally {
      leave();
    }
  }

  #tell({ share, name, namespace }: PlaceHolder, side: PlaceSide): void {
    const { log, meters } = this.#report;
    meters.counter('weft_refusals_total', { reporter: side, cause: 'share' }).add();
    const whose =
      side === 'source'
        ? { 'src.workload': name, 'src.namespace': namespace }
        : { 'dst.workload': name, 'dst.namespace': namespace };
    const direction = side === 'source' ? 'outbound' : 'inbound';
    const { flag, means } = CLOSE_CAUSES.share;
    log.warn(
      { ...whose, direction, response_flags: flag, cause: 'share', error: means, connections: this.#shares.heldBy(share) },
      'connection refused: no place for it',
    );
  }
}
