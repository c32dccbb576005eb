import assert from 'node:assert/strict';
import test from 'node:test';
import { nextSignal, serve } from './service.ts';

/** As the kernel would deliver it, without ending the test run. */
function raise(signal: NodeJS.Signals): void {
  process.emit(signal, signal);
}

test('a service that ends by itself is a success', async () => {
  assert.equal(await serve(async () => ({ stop: async () => assert.fail('nobody asked'), ended: Promise.resolve() })), 0);
});

test('a service that breaks is its error', async () => {
  await assert.rejects(
    serve(async () => ({ stop: async () => {}, ended: Promise.reject(new Error('broken')) })),
    /broken/,
  );
});

test('SIGTERM stops a service', async () => {
  const done: string[] = [];
  const code = serve(async () => {
    setImmediate(() => raise('SIGTERM'));
    return { stop: async () => void done.push('stopped') };
  });
  assert.equal(await code, 0);
  assert.deepEqual(done, ['stopped']);
});

test('a signal during the start stops the service once it has started', async () => {
  const done: string[] = [];
  const code = serve(async () => {
    raise('SIGINT');
    done.push('started');
    return { stop: async () => void done.push('stopped') };
  });
  assert.equal(await code, 0);
  assert.deepEqual(done, ['started', 'stopped']);
});

test('a stop that fails says how to remove what is left', async () => {
  const stop = async (): Promise<void> => {
    throw new Error('busy');
  };
  const code = serve(async () => {
    setImmediate(() => raise('SIGTERM'));
    return { stop };
  });
  await assert.rejects(code, { code: 'WEFT_STOP', remedy: /weft uninstall/ });
});

test('the next signal is told once, and no longer listened for', async () => {
  const before = process.listenerCount('SIGTERM');
  const signal = nextSignal();
  raise('SIGTERM');
  assert.equal(await signal, 'SIGTERM');
  assert.equal(process.listenerCount('SIGTERM'), before);
});
