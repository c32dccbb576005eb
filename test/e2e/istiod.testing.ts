/**
 * Replays what an istiod says (istiod-exchange.json) over real gRPC and TLS, is its certificate authority, and stands for one
 * ztunnel on another node: HBONE by nghttp2, as node:http2 has it. Prints what it hears, a line of JSON each; told by lines:
 *
 *   push KIND PHASE    goaway    revoke    dial IP PORT
 */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { Server, ServerCredentials, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import * as x509 from '@peculiar/x509';
import { encodeFields, type Field, messages, textMap, textStruct, texts } from './wire.testing.ts';

type Resource = [name: string, version: string, fields: Field[]];
type Phase = { resources: Resource[]; removed: string[] };
type Exchange = Record<'address' | 'authorization', Record<string, Phase>>;
type Stream = ServerDuplexStream<Buffer, Buffer>;

const [dir = '.', peerIp = '127.0.0.1', outsideIp = '127.0.0.1', onDemand = ''] = process.argv.slice(2);
const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const TYPES = {
  address: 'type.googleapis.com/istio.workload.Address',
  authorization: 'type.googleapis.com/istio.security.Authorization',
} as const;
const PEER_ID = 'spiffe://cluster.local/ns/shop/sa/far';
const MINUTE_MS = 60_000;
const raw = (bytes: Buffer): Buffer => bytes;

x509.cryptoProvider.set(webcrypto);
const say = (fact: object): void => console.log(JSON.stringify(fact));
const words: Record<string, string> = {};

/* The certificate authority, as an istiod with a plugged-in one: a root, and an intermediate that signs. */
const { CRLSign, keyCertSign, digitalSignature, keyEncipherment } = {
  CRLSign: x509.KeyUsageFlags.cRLSign,
  keyCertSign: x509.KeyUsageFlags.keyCertSign,
  digitalSignature: x509.KeyUsageFlags.digitalSignature,
  keyEncipherment: x509.KeyUsageFlags.keyEncipherment,
};
const newKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
const caExtensions = [
  new x509.BasicConstraintsExtension(true, undefined, true),
  new x509.KeyUsagesExtension(keyCertSign | CRLSign, true),
];
const rootKeys = await newKeys();
const root = await x509.X509CertificateGenerator.createSelfSigned({
  ...{ name: 'O=cluster.local', keys: rootKeys, signingAlgorithm: KEY, extensions: caExtensions },
  ...{ notBefore: new Date(Date.now() - MINUTE_MS), notAfter: new Date(Date.now() + 9_000 * MINUTE_MS) },
});
const signerKeys = await newKeys();
const signer = await certify(
  'O=cluster.local, CN=Intermediate CA',
  'O=cluster.local',
  signerKeys.publicKey,
  rootKeys,
  caExtensions,
);

function certify(
  subject: string,
  issuer: string,
  publicKey: webcrypto.CryptoKey,
  issuerKeys: webcrypto.CryptoKeyPair,
  extensions: x509.Extension[],
): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    ...{ subject, issuer, publicKey, extensions, signingKey: issuerKeys.privateKey, signingAlgorithm: KEY },
    ...{ notBefore: new Date(Date.now() - 2 * MINUTE_MS), notAfter: new Date(Date.now() + 1_440 * MINUTE_MS) },
  });
}

function issue(names: x509.JsonGeneralName[], publicKey: webcrypto.CryptoKey): Promise<x509.X509Certificate> {
  return certify('', signer.subject, publicKey, signerKeys, [
    new x509.KeyUsagesExtension(digitalSignature | keyEncipherment, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.SubjectAlternativeNameExtension(names, true),
  ]);
}

async function issueNew(names: x509.JsonGeneralName[]): Promise<{ chain: string; key: string }> {
  const keys = await newKeys();
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { chain: `${(await issue(names, keys.publicKey)).toString('pem')}\n${signer.toString('pem')}\n`, key };
}

/* Discovery. */
const streams = new Map<Stream, Record<string, string>>();
let nonces = 0;

function exchange(): Exchange {
  const text = readFileSync(new URL('istiod-exchange.json', import.meta.url), 'utf8');
  return JSON.parse(text.replaceAll(/\$(\w+)/g, (_, word: string) => words[word] ?? '0.0.0.0')) as Exchange;
}

function send(stream: Stream, kind: keyof typeof TYPES, { resources, removed }: Phase): void {
  const nonce = `2026-11-27T10:00:00Z/${++nonces}6f1c3a4e-0000-4000-8000-000000000000`;
  const fields: Field[] = [
    [1, `2026-11-27T10:00:00Z/${nonces}`],
    ...resources.map(([name, version, resource]): Field => {
      const aliases = kind === 'address' && onDemand !== '' ? aliasesOf(resource) : [];
      const any: Field[] = [
        [1, TYPES[kind]],
        [2, { hex: encodeFields(resource).toString('hex') }],
      ];
      const names = [[3, name] as Field, ...aliases.map((alias): Field => [4, alias])];
      return [2, [...names, ...(version === '' ? [] : [[1, version] as Field]), [2, any]]];
    }),
    [4, TYPES[kind]],
    [5, nonce],
    ...removed.map((name): Field => [6, name]),
    [7, [[1, '{"Component":"istiod"}']]],
  ];
  streams.set(stream, { ...streams.get(stream), [TYPES[kind]]: nonce });
  stream.write(encodeFields(fields));
  say({ sent: kind, nonce });
}

function hear(stream: Stream, request: Buffer): void {
  const [typeUrl = ''] = texts(request, 2);
  const [nonce = ''] = texts(request, 6);
  const [node] = messages(request, 1);
  const [error] = messages(request, 7);
  const subscribe = texts(request, 3);
  const metadata = node === undefined ? null : textStruct(messages(node, 3)[0] ?? Buffer.alloc(0));
  const heard = {
    type: typeUrl.split('.').at(-1),
    nonce,
    ...{ subscribe, unsubscribe: texts(request, 4), versions: textMap(request, 5) },
    ...(node === undefined ? {} : { node: { id: texts(node, 1)[0], metadata } }),
    ...(error === undefined ? {} : { nack: texts(error, 2)[0] }),
  };
  say({ request: heard });
  if (nonce !== '') return; // an answer
  const kind = typeUrl === TYPES.address ? 'address' : typeUrl === TYPES.authorization ? 'authorization' : null;
  if (kind === null) return;
  if (node !== undefined && !(kind === 'address' && onDemand !== '')) first(stream, kind, heard.versions);
  else if (kind === 'address') lookUp(stream, heard, node !== undefined);
}

/** Everything of a type that differs from what the client says it has. */
function first(stream: Stream, kind: keyof typeof TYPES, versions: Record<string, string>): void {
  const phases = exchange()[kind];
  const all = new Map<string, Resource>();
  for (const phase of kind === 'address' ? pushed : ['start'])
    for (const one of phases[phase]?.resources ?? []) all.set(one[0], one);
  const differs = ([name, version]: Resource): boolean => version === '' || versions[name] !== version;
  send(stream, kind, { resources: [...all.values()].filter(differs), removed: phases.start?.removed ?? [] });
}

/** Stream → the names that it follows, on demand. */
const followed = new Map<Stream, Set<string>>();

/**
 * On demand, as an istiod does it: a name is answered when it becomes one of those that are followed, by what it means or as
 * removed; what was found is followed, too. No workload here says that it is of the agent's node, so none is told unasked.
 */
function lookUp(stream: Stream, { subscribe, unsubscribe, versions }: Names, isFirst: boolean): void {
  const names = followed.get(stream) ?? new Set<string>();
  followed.set(stream, names);
  const fresh = [...subscribe, ...Object.keys(versions)].filter((name) => name !== '*' && !names.has(name));
  for (const name of fresh) names.add(name);
  for (const name of unsubscribe) names.delete(name);
  if (fresh.length === 0 && !isFirst) return;
  const found = new Map<string, Resource>();
  const removed: string[] = [];
  for (const name of fresh) {
    const meant = meantBy(name);
    if (meant.length === 0) removed.push(name);
    for (const one of meant) if (versions[one[0]] !== one[1]) found.set(one[0], one);
  }
  for (const name of found.keys()) names.add(name);
  send(stream, 'address', { resources: [...found.values()], removed });
}

type Names = { subscribe: string[]; unsubscribe: string[]; versions: Record<string, string> };

/** First hit of: a workload's name, a workload's address, a service's name or address; a service brings its workloads along. */
function meantBy(name: string): Resource[] {
  const all = [
    ...new Map(pushed.flatMap((phase) => exchange().address[phase]?.resources ?? []).map((one) => [one[0], one])).values(),
  ];
  const isWorkload = (one: Resource): boolean => one[2][0]?.[0] === 1;
  const hasName = (one: Resource): boolean => one[0] === name || aliasesOf(one[2]).includes(name);
  const workloads = all.filter((one) => isWorkload(one) && hasName(one));
  if (workloads.length > 0) return workloads;
  const service = all.find((one) => !isWorkload(one) && hasName(one));
  if (service === undefined) return [];
  const members = all.filter((one) => isWorkload(one) && JSON.stringify(one[2]).includes(`"${service[0]}"`));
  return [service, ...members];
}

/** `<network>/<ip>` for each address of a resource. */
function aliasesOf(fields: Field[]): string[] {
  return [...JSON.stringify(fields).matchAll(/"ip":"([^"]+)"/g)].map(([, ip]) => `/${ip}`);
}

const pushed = ['start'];
function push(kind: keyof typeof TYPES, phase: string): void {
  if (kind === 'address') pushed.push(phase);
  const what = exchange()[kind][phase];
  if (what === undefined) return;
  for (const stream of streams.keys()) {
    const names = kind === 'address' ? followed.get(stream) : undefined;
    const told = names === undefined ? what : { resources: what.resources.filter(([name]) => names.has(name)), removed: [] };
    if (told.resources.length > 0 || names === undefined) send(stream, kind, told);
  }
}

let refusals = 1; // the first caller meets a cache that does not know his pod yet
async function createCertificate(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): Promise<void> {
  const [csrPem = ''] = texts(call.request, 1);
  const [metadata] = messages(call.request, 4);
  const identity = metadata === undefined ? '' : (textStruct(metadata).ImpersonatedIdentity ?? '');
  const csr = new x509.Pkcs10CertificateRequest(csrPem);
  const san = csr.extensions.find(({ type }) => type === '2.5.29.17');
  const names = san instanceof x509.SubjectAlternativeNameExtension ? san.names.toJSON() : [];
  say({
    csr: { identity, subject: csr.subject, names, critical: san?.critical, isSigned: await csr.verify() },
    authorization: call.metadata.get('authorization'),
    clusterid: call.metadata.get('clusterid'),
  });
  if (refusals-- > 0) {
    done({ code: 16, details: 'request authenticate failure' });
    return;
  }
  const leaf = await issue([{ type: 'url', value: identity }], await csr.publicKey.export());
  const chain = [`${leaf.toString('pem')}\n`, `${signer.toString('pem')}\n`, root.toString('pem')];
  done(null, encodeFields(chain.map((one): Field => [1, one])));
}

const server = new Server();
const method = (path: string, streaming: boolean) => ({
  ...{ path, requestStream: streaming, responseStream: streaming },
  ...{ requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw },
});
server.addService(
  { delta: method('/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources', true) },
  {
    delta: (stream: Stream) => {
      streams.set(stream, {});
      say({ stream: { authorization: stream.metadata.get('authorization'), clusterid: stream.metadata.get('clusterid') } });
      stream.on('data', (request: Buffer) => hear(stream, request));
      for (const event of ['end', 'cancelled', 'error'])
        stream.on(event, () => {
          streams.delete(stream);
          followed.delete(stream);
        });
    },
  },
);
server.addService(
  { create: method('/istio.v1.auth.IstioCertificateService/CreateCertificate', false) },
  {
    create: (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
      void createCertificate(call, done).catch((error: unknown) => say({ error: String(error) })),
  },
);

/* The ztunnel of another node. */
const peer = await issueNew([{ type: 'url', value: PEER_ID }]);
const trust: Pick<tls.ConnectionOptions, 'ca' | 'minVersion' | 'ALPNProtocols'> = {
  ...{ ca: root.toString('pem'), minVersion: 'TLSv1.3', ALPNProtocols: ['h2'] },
};
const tunnels = http2.createSecureServer({
  ...trust,
  cert: peer.chain,
  key: peer.key,
  requestCert: true,
} as http2.SecureServerOptions);
tunnels.on('stream', (stream: http2.ServerHttp2Stream, _: unknown, __: number, headers: string[]) => {
  const socket = stream.session?.socket as tls.TLSSocket;
  say({ connect: headers, from: socket.getPeerCertificate().subjectaltname, sni: socket.servername || null });
  stream.on('error', () => {}); // its connection was cut
  stream.respond({ ':status': 200, baggage: 'k8s.namespace.name=shop,service.name=far' });
  stream.on('data', (data: Buffer) => {
    if (!data.includes('\r\n\r\n')) return;
    stream.end('HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nfar');
  });
});

/** CONNECT to an app behind an agent, with one request to it. */
async function dial(ip: string, port: string): Promise<void> {
  const socket = tls.connect({
    ...{ ...trust, host: ip, port: 15008, localAddress: peerIp, cert: peer.chain, key: peer.key },
    checkServerIdentity: () => undefined, // what it is asked for is compared below
  });
  const session = http2.connect(`https://${ip}:15008`, { createConnection: () => socket });
  // However it ends, it is told once: by the answer, or by its close.
  let isTold = false;
  session.on('error', () => {});
  const stream = session.request({ ':method': 'CONNECT', ':authority': `${ip}:${port}` });
  stream.on('error', () => {});
  stream.on('close', () => {
    if (!isTold) say({ dialled: 'closed' });
    session.close();
  });
  let body = '';
  stream.on('response', (headers) => {
    if (headers[':status'] === 200) stream.write(`GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
    stream.on('data', (data: Buffer) => (body += data.toString()));
    stream.on('end', () => {
      const { subjectaltname: peerName } = socket.getPeerCertificate();
      isTold = true;
      say({ dialled: headers[':status'], peerName, baggage: headers.baggage ?? null, body: body.split('\r\n\r\n')[1] ?? '' });
      session.close();
    });
    if (headers[':status'] !== 200) stream.resume();
  });
}

/** The peer's certificate goes on the list of its authority. */
async function revokePeer(): Promise<void> {
  const { serialNumber } = new x509.X509Certificate(peer.chain.slice(0, peer.chain.indexOf('-----END') + 25));
  const list = await x509.X509CrlGenerator.create({
    ...{ issuer: signer.subject, signingAlgorithm: KEY, signingKey: signerKeys.privateKey },
    ...{ thisUpdate: new Date(Date.now() - MINUTE_MS), nextUpdate: new Date(Date.now() + MINUTE_MS) },
    entries: [{ serialNumber, revocationDate: new Date() }],
  });
  writeFileSync(`${dir}/crl.pem`, x509.PemConverter.encode(list.rawData, 'X509 CRL'));
}

mkdirSync(dir, { recursive: true });
writeFileSync(`${dir}/root-cert.pem`, root.toString('pem'));
const served = await issueNew([{ type: 'dns', value: 'istiod.istio-system.svc' }]);
const pair = { cert_chain: Buffer.from(served.chain), private_key: Buffer.from(served.key) };
await new Promise<void>((resolve) => tunnels.listen(15008, peerIp, resolve));
/* Somebody outside the mesh. */
http.createServer((_, answer) => answer.end('outside')).listen(8080, outsideIp);
const echo = createSocket('udp4', (data, from) => echo.send(data, from.port, from.address)).bind(5000, outsideIp);
server.bindAsync('127.0.0.1:15012', ServerCredentials.createSsl(null, [pair]), (error) =>
  say(error === null ? { ready: true } : { error: String(error) }),
);
createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb = '', one = '', two = ''] = line.split(' ');
  if (verb === 'let') words[one] = two;
  else if (verb === 'push') push(one as keyof typeof TYPES, two);
  else if (verb === 'dial') void dial(one, two);
  else if (verb === 'revoke') void revokePeer();
  else if (verb === 'goaway')
    for (const stream of streams.keys())
      stream.emit('error', { code: 14, details: 'closing transport due to: received prior goaway' });
});
