import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { Meters } from '#model/telemetry/meters.ts';
import type { Span } from '#model/telemetry/trace.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { collectorAt } from './collectors.ts';
import { SpanExporter } from './span-exporter.ts';

function aSpan(at: number): Span {
  const context = { traceId: '1'.repeat(32), spanId: String(at).padStart(16, '0'), parentSpanId: '', sampled: true };
  return { context, name: 'n', startMs: 0, endMs: 1, failed: false, attributes: {} };
}

const spans = (from: number, count: number): Span[] => Array.from({ length: count }, (_, at) => aSpan(from + at));

/** A collector that answers as it is told, and an exporter for it. */
async function aCollector(t: TestContext) {
  const seen: { path: string; ids: number[] }[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { resourceSpans } = JSON.parse(Buffer.concat(pieces).toString());
      const told: { spanId: string }[] = resourceSpans[0].scopeSpans[0].spans;
      seen.push({ path: request.url ?? '', ids: told.map(({ spanId }) => Number(spanId)) });
      response.writeHead(status).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const clock = new SteppedClock();
  const meters = new Meters('waypoint');
  const collector = collectorAt(`http://127.0.0.1:${port}`, { resource: {}, version: '1' });
  const exporter = new SpanExporter({ collector, clock, log: SILENT_LOG, meters });
  const fates = (): Record<string, number> =>
    Object.fromEntries(
      (meters.collect().find(({ name }) => name === 'weft_spans_total')?.series ?? []).map(({ labels, value }) => [
        labels.fate ?? '',
        Number(value),
      ]),
    );
  const answer = (now: number): void => {
    status = now;
  };
  return { exporter, seen, clock, fates, answer };
}

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, 'the condition never held');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test('spans are posted to /v1/traces, in their order, a batch at a time', async (t) => {
  const { exporter, seen, fates } = await aCollector(t);
  exporter.add(spans(0, 600), 3);
  await until(() => fates().exported === 600);
  assert.deepEqual(
    seen.map(({ path, ids }) => [path, ids.length]),
    [
      ['/v1/traces', 512],
      ['/v1/traces', 88],
    ],
  );
  assert.deepEqual(
    seen.flatMap(({ ids }) => ids),
    Array.from({ length: 600 }, (_, at) => at),
  );
  assert.equal(fates().dropped, 3);
});

test('a collector that is busy gets the same spans again, after a pause; past the bound the oldest are left out', async (t) => {
  const { exporter, seen, clock, fates, answer } = await aCollector(t);
  answer(503);
  exporter.add(spans(0, 10), 0);
  await until(() => clock.pendingMs().length === 1);
  exporter.add(spans(10, TELEMETRY.spansWaitingMax), 0);
  assert.equal(fates().dropped, 10); // the ten that it had refused were the oldest
  answer(200);
  clock.advance(2 * TELEMETRY.spanPauseMs);
  await until(() => fates().exported === TELEMETRY.spansWaitingMax);
  assert.equal(seen[1]?.ids[0], 10);
});

test('what a collector refuses is not sent again, and is counted', async (t) => {
  const { exporter, seen, fates, answer } = await aCollector(t);
  answer(400);
  exporter.add(spans(0, 5), 0);
  await until(() => fates().refused === 5);
  answer(200);
  exporter.add(spans(5, 1), 0);
  await until(() => fates().exported === 1);
  assert.deepEqual(seen.at(-1)?.ids, [5]);
});

test('where nobody listens spans wait, and go when somebody does', async (t) => {
  const { clock } = await aCollector(t);
  const meters = new Meters('waypoint');
  const server = createServer((_, response) => void response.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const collector = collectorAt(`http://127.0.0.1:${port}`, { resource: {}, version: '1' });
  const exporter = new SpanExporter({ collector, clock, log: SILENT_LOG, meters });
  exporter.add(spans(0, 1), 0);
  await until(() => clock.pendingMs().length === 1);
  const again = createServer((_, response) => void response.end('{}')).listen(port, '127.0.0.1');
  await once(again, 'listening');
  t.after(() => again.close());
  clock.advance(2 * TELEMETRY.spanPauseMs);
  await until(() =>
    meters.collect().some(({ name, series }) => name === 'weft_spans_total' && series[0]?.labels.fate === 'exported'),
  );
});
