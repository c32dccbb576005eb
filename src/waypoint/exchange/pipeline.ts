import type { ResponseHead } from '#protocol/http/message.ts';
import type { Carrier, Flow } from '#waypoint/exchange/carrier.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { reply } from '#waypoint/exchange/local-reply.ts';
import type { Stage, StageResult } from '#waypoint/exchange/stage.ts';

const STAGE_FAILED = reply(500, '', '-', 'stage_failed');

/** Runs the fixed list of stages for each exchange. Without an asynchronous stage nothing here allocates. */
export class Pipeline implements Flow {
  readonly #stages: readonly Stage[];
  readonly #transport: number;

  /** `stages` in the order of DESIGN section 6; one of them is called `transport`. */
  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
    this.#transport = stages.findIndex((stage) => stage.name === 'transport');
  }

  run(exchange: Exchange, carrier: Carrier): void {
    this.#runFrom(0, exchange, carrier);
  }

  retry(exchange: Exchange, carrier: Carrier): void {
    this.#runFrom(this.#transport, exchange, carrier);
  }

  requestEnded(exchange: Exchange, carrier: Carrier): void {
    for (const stage of this.#stages) stage.requestEnded?.(exchange, carrier);
  }

  /** In reverse order. */
  response(exchange: Exchange, head: ResponseHead, local: boolean): void {
    for (let at = this.#stages.length - 1; at >= 0; at--) this.#stages[at]?.response?.(exchange, head, local);
  }

  end(exchange: Exchange, carrier: Carrier): void {
    for (const stage of this.#stages) stage.end?.(exchange, carrier);
  }

  #runFrom(first: number, exchange: Exchange, carrier: Carrier): void {
    for (let at = first; at < this.#stages.length && !exchange.over; at++) {
      const result = this.#stages[at]?.request?.(exchange, carrier);
      if (result === undefined) continue;
      if (result instanceof Promise) {
        this.#wait(result, at, exchange, carrier);
        return;
      }
      if (settles(result, carrier)) return;
    }
  }

  #wait(pending: Promise<StageResult>, at: number, exchange: Exchange, carrier: Carrier): void {
    pending.then(
      (result) => {
        if (!exchange.over && !settles(result, carrier)) this.#runFrom(at + 1, exchange, carrier);
      },
      () => carrier.reply(STAGE_FAILED),
    );
  }
}

/** Whether the request needs no further stage. */
function settles(result: StageResult, carrier: Carrier): boolean {
  if (result.kind === 'reply') carrier.reply(result.reply);
  return result.kind !== 'next';
}
