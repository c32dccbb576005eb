import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import type { Log } from '#model/effects/log.ts';
import { INSTANCE_HEADER } from '#platform/grpc/control-channel.ts';
import { CREATE_CERTIFICATE, DELTA_STREAM, SYNC_WORKLOADS } from '#platform/grpc/service-definitions.ts';
import { IstioCertificateRequestSchema } from '#proto/ca_pb.js';
import { type DeltaDiscoveryRequest, DeltaDiscoveryRequestSchema } from '#proto/discovery_pb.js';
import { SyncWorkloadsRequestSchema } from '#proto/weft_pb.js';
import { ADDRESS_TYPE } from '#protocol/xds/type-urls.ts';
import type { RunningControl } from './control-process.ts';
import { AGENT_ID, ANYTHING, endpointOf, follower, place, started } from './control-rig.testing.ts';

// One control plane, one honest agent, and clients that mean no good, one kind after the other: each is refused or bounded, somebody
// is told, and all the while a change reaches the honest one.

const MIB = 1024 * 1024;
/** Far below every time-out of ours: whoever had to wait for one of them would be found out. */
const PROMPT_MS = 5_000;
const STATUS = { invalidArgument: '3', permissionDenied: '7', resourceExhausted: '8', internal: '13', unauthenticated: '16' };

type Line = { level: string; message: string; fields: Record<string, unknown> };

function keeping(lines: Line[]): Log {
  const at =
    (level: string): Log['warn'] =>
    (fields, message) =>
      void lines.push({ level, message, fields: { ...fields } });
  const log: Log = {
    ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    child: () => log,
  } as Log;
  return log;
}

/** A gRPC message: not compressed, its length, its bytes. */
function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** A client that speaks HTTP/2 by itself, with whatever token. */
class Stranger {
  readonly session: ClientHttp2Session;
  readonly #token: string;

  constructor({ address, rootsPem }: RunningControl, token: string) {
    this.session = connect(`https://${address}`, { ca: rootsPem, checkServerIdentity: () => undefined });
    this.session.on('error', () => {}); // what became of it is asked
    this.#token = token;
  }

  /** `instance`: two processes with one node's token are a matter of their own. */
  call(path: string, instance = 'stranger'): ClientHttp2Stream {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${this.#token}`,
      [INSTANCE_HEADER]: instance,
    });
    stream.on('error', () => {});
    return stream;
  }
}

/** The gRPC status by which a call ended; null: it ended without one. */
function statusOf(stream: ClientHttp2Stream): Promise<string | null> {
  return new Promise((resolve) => {
    const note = (headers: IncomingHttpHeaders): void => {
      const said = headers['grpc-status'];
      if (said === undefined) return;
      resolve(String(said));
      stream.close(constants.NGHTTP2_NO_ERROR);
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('close', () => resolve(null));
    stream.resume();
  });
}

function requestOf(changes: Partial<DeltaDiscoveryRequest> = {}, node = 'node-2'): Buffer {
  const metadata = { NAMESPACE: 'istio-system', NODE_NAME: node };
  const request = create(DeltaDiscoveryRequestSchema, { node: { id: AGENT_ID, metadata }, typeUrl: ADDRESS_TYPE });
  return framed(DELTA_STREAM.request.write(Object.assign(request, changes)));
}

describe('clients that mean no good', () => {
  const lines: Line[] = [];
  const strangers: Stranger[] = [];
  const hooks: (() => unknown)[] = [];
  const context = { after: (hook: () => unknown) => void hooks.push(hook) } as unknown as Parameters<typeof place>[0];
  let control: RunningControl;
  let honest: ReturnType<typeof follower>;
  let configDir = '';
  let token = '';
  let weight = 1;

  before(async () => {
    const where = await place(context);
    configDir = where.configDir;
    control = await started(where, { log: keeping(lines) });
    honest = follower(context, await endpointOf(control, 'node-1'));
    await honest.client.synced;
    token = await control.mintAgentToken('node-2', ANYTHING);
  });
  after(async () => {
    for (const { session } of strangers) session.destroy();
    for (const hook of hooks.toReversed()) await hook();
  });

  const stranger = (own = token): Stranger => {
    const one = new Stranger(control, own);
    strangers.push(one);
    return one;
  };
  const toldOf = (pattern: RegExp): Line[] => lines.filter(({ message }) => pattern.test(message));

  /** A change of the mesh reaches the honest agent at once, on the stream that it has had from the start. */
  async function servesOthers(): Promise<void> {
    weight += 1;
    const text = `apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: { name: w, namespace: shop }\nspec: { address: 10.9.9.9, weight: ${weight} }\n`;
    await writeFile(join(configDir, 'w.yaml'), text);
    const arrived = honest.until(() =>
      [...honest.workloads.values()].some(({ name, capacity }) => name === 'w' && capacity === weight),
    );
    await within(arrived, 'the honest agent is told of a change');
    assert.deepEqual([honest.connects(), honest.client.status().connected], [1, true]);
  }

  /** Errors: when it takes longer than anybody should have to wait. */
  async function within<Result>(promise: Promise<Result>, what: string): Promise<Result> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`not within ${PROMPT_MS} ms: ${what}`)), PROMPT_MS);
    return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer));
  }

  const refusals: Record<string, { call(): ClientHttp2Stream; message: () => Buffer; status: string; told: RegExp }> = {
    'a token that nobody made': {
      call: () => stranger(`${token.slice(0, -4)}AAAA`).call(DELTA_STREAM.path),
      message: () => requestOf(),
      status: STATUS.unauthenticated,
      told: /^call refused$/,
    },
    'no token at all': {
      call: () => stranger('').call(DELTA_STREAM.path),
      message: () => requestOf(),
      status: STATUS.unauthenticated,
      told: /^call refused$/,
    },
    'the discovery of another node': {
      call: () => stranger().call(DELTA_STREAM.path),
      message: () => requestOf({}, 'node-1'),
      status: STATUS.permissionDenied,
      told: /^discovery stream ended$/,
    },
    'workloads in the name of another node': {
      call: () => stranger().call(SYNC_WORKLOADS.path),
      message: () => framed(SYNC_WORKLOADS.request.write(create(SyncWorkloadsRequestSchema, { node: 'node-1' }))),
      status: STATUS.permissionDenied,
      told: /refused/,
    },
    'a certificate for what runs on another node': {
      call: () => stranger().call(CREATE_CERTIFICATE.path),
      message: () => {
        const metadata = { ImpersonatedIdentity: 'spiffe://cluster.local/ns/shop/sa/ratings' };
        const asked = create(IstioCertificateRequestSchema, { csr: 'none', validityDuration: 3_600n, metadata });
        return framed(CREATE_CERTIFICATE.request.write(asked));
      },
      status: STATUS.unauthenticated,
      told: /^certificate refused$/,
    },
    'a message that is none': {
      call: () => stranger().call(DELTA_STREAM.path),
      message: () => framed(Buffer.alloc(4_096, 0xff)),
      status: STATUS.internal,
      told: /^discovery client gone$/,
    },
    'digests that are none': {
      call: () => stranger().call(DELTA_STREAM.path),
      message: () => requestOf({ weftHeldDigests: Buffer.alloc(7, 1) }),
      status: STATUS.invalidArgument,
      told: /^discovery stream ended$/,
    },
  };
  for (const [what, { call, message, status, told }] of Object.entries(refusals)) {
    test(`C80: ${what}: refused, told, and others are served`, async () => {
      lines.length = 0;
      const stream = call();
      const ended = statusOf(stream);
      stream.end(message());
      assert.equal(await within(ended, `the call ends: ${what}`), status);
      assert.notEqual(toldOf(told).length, 0, JSON.stringify(lines));
      await servesOthers();
    });
  }

  test('C80: garbage in the place of HTTP/2 ends its own connection alone', async () => {
    const garbage: Record<string, Buffer> = {
      'no preface': Buffer.alloc(64 * 1024, 0x41),
      'frames of unknown types and lengths': Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        Buffer.alloc(64 * 1024, 0xff),
      ]),
    };
    const [host = '', port = ''] = control.address.split(':');
    for (const [what, bytes] of Object.entries(garbage)) {
      const socket: TLSSocket = tlsConnect({
        host,
        port: Number(port),
        ca: control.rootsPem,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.resume();
      socket.write(bytes);
      await within(closed, `the connection is closed: ${what}`);
    }
    await servesOthers();
  });

  test('C80: a message of 100 MB is refused by its length, before it is taken', async () => {
    const one = stranger();
    const stream = one.call(DELTA_STREAM.path);
    const ended = statusOf(stream);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(100 * MIB, 1);
    stream.write(head);
    const piece = Buffer.alloc(MIB);
    let written = 0;
    const pour = (): void => {
      while (written < 100 && !stream.destroyed && !stream.closed) {
        written++;
        if (!stream.write(piece)) {
          stream.once('drain', pour);
          return;
        }
      }
    };
    pour();
    assert.equal(await within(ended, 'the call ends'), STATUS.resourceExhausted);
    assert.ok(written < 50, `${written} MiB were taken`);
    await servesOthers();
  });

  test('C80: a storm of rejections: none is answered, what is kept of them is short, and the client is shown as not up to date', async () => {
    const stream = stranger().call(DELTA_STREAM.path);
    let answers = 0;
    stream.on('data', () => {
      answers += 1;
    });
    stream.write(requestOf());
    await within(new Promise((resolve) => stream.once('data', resolve)), 'the first answer');
    const before = answers;
    const message = 'no'.repeat(4 * 1024);
    for (let count = 0; count < 500; count++) {
      const rejection = requestOf({
        responseNonce: `n-${count}`,
        errorDetail: { $typeName: 'envoy.service.discovery.v3.Status', code: 3, message, details: [] },
      });
      if (!stream.write(rejection)) await new Promise((resolve) => stream.once('drain', resolve));
    }
    const shown = () => control.status().connections.find(({ node }) => node === 'node-2');
    await within(
      honest
        .until(() => true)
        .then(async () => {
          while (shown()?.types[0]?.rejections !== 500) await new Promise((resolve) => setImmediate(resolve));
        }),
      'all rejections are taken',
    );
    assert.equal(shown()?.upToDate, false);
    assert.ok((shown()?.types[0]?.problem?.length ?? 0) <= 2_000, 'the whole text is kept');
    assert.equal(answers, before);
    const rejected = toldOf(/^client rejected resources$/);
    assert.equal(rejected.length, 500); // the log of a process writes some of them, and counts the rest
    assert.ok(rejected.every(({ fields }) => JSON.stringify(fields).length < 4_000));
    await servesOthers();
    stream.close(constants.NGHTTP2_CANCEL);
  });

  test('C80: streams that are opened and never used, and a client that stops reading, cost nobody else anything', async () => {
    const one = stranger();
    const idle = Array.from({ length: 100 }, () => one.call(DELTA_STREAM.path));
    await within(new Promise((resolve) => one.session.ping(resolve)), 'its connection is alive');
    const deaf = stranger(await control.mintAgentToken('node-3', ANYTHING));
    const stream = deaf.call(DELTA_STREAM.path);
    stream.pause();
    stream.write(requestOf({}, 'node-3'));
    const shown = () => control.status().connections.find(({ node }) => node === 'node-3');
    await within(
      (async () => {
        while (shown()?.types.length !== 1) await new Promise((resolve) => setImmediate(resolve));
      })(),
      'it is known',
    );
    for (let edits = 0; edits < 3; edits++) await servesOthers();
    assert.equal(shown()?.upToDate, false);
    for (const open of idle) open.close(constants.NGHTTP2_CANCEL);
    stream.close(constants.NGHTTP2_CANCEL);
    await within(
      (async () => {
        while (control.status().connections.length > 1) await new Promise((resolve) => setImmediate(resolve));
      })(),
      'nothing is kept of them',
    );
    await servesOthers();
  });
});
