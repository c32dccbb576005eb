import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { keySet, type SigningKey, signedToken, signingKey } from './signing.testing.ts';

/** An issuer of tokens that says of itself where its keys are, and replaces them when it is told to. */
export type KeyServer = {
  /** `http(s)://host:port`: the issuer, too. */
  readonly url: string;
  readonly port: number;
  /** Paths that were asked for. */
  readonly asked: string[];
  /** By the key of now. */
  token(claims?: object): string;
  /** The key before is not shown any more. */
  rotate(algorithm?: string): void;
  /** In place of what it would answer; null: as ever. */
  answers(other: RequestListener | null): void;
};

/** Whose certificate a server over TLS shows. */
export type TlsFor = { readonly key: string; readonly cert: string };

/** Listens on loopback until the test ends. `host`: what it calls itself. */
export async function startKeyServer(
  t: TestContext,
  { tls = null, host = '127.0.0.1' }: { tls?: TlsFor | null; host?: string } = {},
): Promise<KeyServer> {
  let count = 0;
  const next = (algorithm: string): SigningKey => signingKey(algorithm, `key-${++count}`);
  let key = next('ES256');
  let other: RequestListener | null = null;
  const asked: string[] = [];
  const answer: RequestListener = (request, response) => {
    asked.push(request.url ?? '');
    if (other !== null) return other(request, response);
    const said = request.url === '/keys' ? keySet(key) : JSON.stringify({ issuer: url, jwks_uri: `${url}/keys` });
    response.setHeader('content-type', 'application/json').end(said);
  };
  const server: Server = tls === null ? createHttpServer(answer) : createHttpsServer(tls, answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const url = `${tls === null ? 'http' : 'https'}://${host}:${port}`;
  return {
    ...{ url, port, asked },
    token: (claims = {}) => signedToken(key, { iss: url, sub: 'me', ...claims }),
    rotate(algorithm = 'ES256') {
      key = next(algorithm);
    },
    answers(now) {
      other = now;
    },
  };
}

/** A certificate for a name, and the authority that gave it; in PEM. */
export async function certificateFor(name: string): Promise<TlsFor & { readonly root: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  x509.cryptoProvider.set(crypto);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const cert = certificate.toString('pem');
  return { key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`, cert, root: cert };
}
