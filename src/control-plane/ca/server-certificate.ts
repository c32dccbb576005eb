import type { ServerCertificate } from '#control-plane/ca/authority.ts';
import { tryParseIp } from '#model/address/ip.ts';
import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { type Backoff, backoffMs } from '#model/resilience/retry.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { renewalDelayMs } from '#protocol/ca/renewal.ts';

/** What a server's certificate is good for. */
export type ServerNames = { dnsNames: string[]; ips: string[] };

/** Listening there is no name that anybody dials. */
const ANY_ADDRESS: readonly string[] = ['0.0.0.0', '::'];

/** The name by which pods of a cluster reach the control plane in a namespace. */
export function controlName(namespace: string): string {
  return `weft-control.${namespace}.svc`;
}

/** Every name a client may dial: those told, this machine's own, a cluster's, and the one a stock ztunnel uses. */
export function serverNames(told: readonly string[], rootNamespace: string): ServerNames {
  const names = new Set([...told, 'localhost', '127.0.0.1', '::1', controlName(rootNamespace), `istiod.${rootNamespace}.svc`]);
  for (const any of ANY_ADDRESS) names.delete(any);
  // TLS compares names and addresses apart, so each must stand in its own kind of subject alternative name.
  const isIp = (name: string) => tryParseIp(name) !== null;
  return { dnsNames: [...names].filter((name) => !isIp(name)), ips: [...names].filter(isIp) };
}

/** `host:port` that an agent is told to dial: the first name it was given, or else what is listened on (`host:port`). */
export function dialledAddress(told: readonly string[], listening: string): string {
  const [name] = told;
  if (name === undefined) return listening;
  const port = listening.slice(listening.lastIndexOf(':') + 1);
  return `${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** Its cap is far below the half of a life that is left. */
const BACKOFF: Backoff = { firstMs: CERTIFICATE.retryFirstMs, maxMs: CERTIFICATE.serverRetryMs };

/** A certificate in force, and how it is replaced. */
export type KeepOptions = {
  first: ServerCertificate;
  issue(): Promise<ServerCertificate>;
  replace(certificate: ServerCertificate): void;
  clock: Clock;
  random: Random;
  log: Log;
};

/** Renews a server's certificate from half of its life on, again and again until it is cancelled. */
export function keepServerCertificate({ first, issue, replace, clock, random, log }: KeepOptions): Cancel {
  let cancel: Cancel = () => {};
  let failures = 0;
  let current = first;
  // Cancelling a timer does not stop a renewal that is under way.
  let over = false;
  const renew = async () => {
    try {
      const certificate = await issue();
      // The server may have gone meanwhile: it has nothing left to replace.
      if (over) return;
      replace(certificate);
      current = certificate;
      failures = 0;
      plan(renewalDelayMs(certificate, clock.nowMs(), random));
    } catch (error) {
      log.error({ err: error }, "the server's certificate is not renewed");
      if (!over) plan(backoffMs(++failures, BACKOFF, random));
    }
  };
  const plan = (delayMs: number) => {
    cancel = clock.after(delayMs, () => {
      renew().catch(toLastResort); // failures to issue are caught inside, and tried again
    });
  };
  plan(renewalDelayMs(first, clock.nowMs(), random));
  // A certificate of a time that has not come is refused by every client, until it has.
  const stopLooking = clock.every(CERTIFICATE.clockLookMs, () => {
    if (clock.nowMs() > current.notBeforeMs - CERTIFICATE.backdateMs / 2) return;
    cancel();
    renew().catch(toLastResort);
  });
  return () => {
    over = true;
    stopLooking();
    cancel();
  };
}
