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

/** A manager that keeps what it is told. */
function aManager(watchdogMs: number | null = null) {
  const told: string[] = [];
  const tell = (what: string) => () => void told.push(what);
  const manager = {
    ready: tell('ready'),
    reloading: tell('reloading'),
    stopping: tell('stopping'),
    alive: tell('alive'),
    watchdogMs,
    successor: {},
  };
  return { told, manager };
}

test('H12: a service manager hears of the start, of each reload and of the stop; SIGHUP then ends nothing', async () => {
  const { told, manager } = aManager();
  const start = async () => {
    raise('SIGHUP'); // during the start: there is nothing to reload yet
    setImmediate(async () => {
      raise('SIGHUP');
      await new Promise(setImmediate);
      raise('SIGTERM');
    });
    return { stop: async () => void told.push('stopped'), reload: async () => void told.push('reloaded') };
  };
  assert.equal(await serve(start, manager), 0);
  assert.deepEqual(told.slice(0, 1), ['reloading']);
  assert.deepEqual(told.slice(-5), ['reloading', 'reloaded', 'ready', 'stopping', 'stopped']);
  assert.equal(process.listenerCount('SIGHUP'), 0);
});
