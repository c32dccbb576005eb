import { type ChildProcess, spawn } from 'node:child_process';
import type { TestContext } from 'node:test';
import { type Certified, type IssueOptions, OpensslAuthority, rootOf } from '#platform/io/tls/authority.testing.ts';
import { deadPort } from './clients.testing.ts';

/** An authority of a test, and the certificates of servers that it makes. */
export class ServerAuthority {
  readonly #openssl = new OpensslAuthority();
  readonly root: Certified;

  constructor(t: { after(clean: () => void): void }) {
    t.after(() => this.#openssl.remove());
    this.root = rootOf(this.#openssl);
  }

  /** `names`: as subjectAltName has them, such as `DNS:a.example`; none: the certificate names nobody. */
  server(names: readonly string[], change: Partial<IssueOptions> = {}): Certified {
    const extensions = [
      'basicConstraints=CA:FALSE',
      'keyUsage=digitalSignature',
      'extendedKeyUsage=serverAuth',
      ...(names.length === 0 ? [] : [`subjectAltName=${names.join(',')}`]),
    ];
    return this.#openssl.issue({ issuer: this.root, extensions, ...change });
  }
}

/** openssl s_server, which answers every request with a page about its connection; ended after the test. */
export async function opensslServer(t: TestContext, { certificateFile, keyFile }: Certified, ...args: string[]): Promise<number> {
  const port = await deadPort();
  const all = ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', certificateFile, '-key', keyFile, '-www', ...args];
  const child = spawn('openssl', all, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await said(child, 'ACCEPT');
  return port;
}

async function said(child: ChildProcess, word: string): Promise<void> {
  let heard = '';
  for await (const data of child.stdout ?? []) {
    heard += String(data);
    if (heard.includes(word)) break;
  }
  // What it says later is nobody's, and must not stop it.
  child.stdout?.resume();
}
