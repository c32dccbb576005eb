import { CHECK } from '#model/settings/checks.ts';
import { CERTIFICATE } from '#model/settings/control-planes.ts';
import { type CheckFinding, found, foundAs } from './finding.ts';

/** A file with a root certificate; `key`: whether the key beside it is its own, null where there is to be none. */
export type RootFacts =
  | { kind: 'read'; path: string; fromMs: number; untilMs: number; key: 'own' | 'other' | 'missing' | null }
  | { kind: 'unreadable'; path: string; reason: string };

/** A file with a node's token. `node` null: it does not say. */
export type TokenFacts =
  | { kind: 'read'; path: string; node: string | null; issuedMs: number | null; untilMs: number }
  | { kind: 'empty' | 'unreadable'; path: string; reason: string };

/** How the control plane answered. `trust`: what TLS says of its certificate. `clockMs`: its clock when ours was `nowMs`; null: not told. */
export type ControlAnswer =
  | {
      kind: 'answered';
      trust: 'trusted' | 'wrong-root' | 'wrong-name' | 'expired';
      reason: string;
      clockMs: number | null;
      nowMs: number;
    }
  | { kind: 'silent'; reason: string };

/** What a node needs to connect. `node` null: it has no name yet. */
export type JoinFacts = { node: string | null; address: string; root: RootFacts; token: TokenFacts; answer: ControlAnswer };

/** Tokens that live for days are made anew by whoever made them so short: only their last third is short. */
const LAST_PART = 3;

/** What is wrong with a root certificate; `isOwn`: it is that of the authority itself, with its key. */
export function rootFindings(root: RootFacts, isOwn: boolean, nowMs: number): CheckFinding[] {
  const { path } = root;
  if (root.kind === 'unreadable')
    return [found(isOwn ? 'WEFT_CA_SIGNER' : 'WEFT_CONTROL_FILE', `${path} cannot be read: ${root.reason}`)];
  const { fromMs, untilMs, key } = root;
  const findings: CheckFinding[] = [];
  if (key === 'missing') findings.push(found('WEFT_CA_SIGNER', `${path} is there, and its key is not`));
  if (key === 'other') findings.push(found('WEFT_CA_SIGNER', `the key beside ${path} is not that of the certificate`));
  if (nowMs < fromMs)
    findings.push(found('WEFT_CHECK_CLOCK_EARLY', `it is ${dayOf(nowMs)}, and ${path} begins ${dayOf(fromMs)}`));
  if (untilMs <= nowMs) findings.push(found('WEFT_CHECK_ROOT_EXPIRED', `${path} expired ${dayOf(untilMs)}`));
  else if (untilMs - nowMs < CHECK.rootWarnMs) findings.push(found('WEFT_CHECK_ROOT_SOON', `${path} expires ${dayOf(untilMs)}`));
  return findings;
}

/** What keeps a node from its control plane. */
export function joinFindings({ node, address, root, token, answer }: JoinFacts, nowMs: number): CheckFinding[] {
  return [...rootFindings(root, false, nowMs), ...tokenFindings(token, node, nowMs), ...answerFindings(answer, address, root)];
}

function tokenFindings(token: TokenFacts, node: string | null, nowMs: number): CheckFinding[] {
  const { path } = token;
  if (token.kind !== 'read') {
    return token.kind === 'unreadable'
      ? [found('WEFT_CONTROL_FILE', `${path} cannot be read: ${token.reason}`)]
      : [found('WEFT_CONTROL_TOKEN', `${path} holds no token: ${token.reason}`)];
  }
  const findings: CheckFinding[] = [];
  if (node !== null && token.node !== null && token.node !== node)
    findings.push(found('WEFT_CHECK_TOKEN_NODE', `${path} is the token of node ${token.node}, not of ${node}`));
  const { untilMs, issuedMs } = token;
  const lastMs = issuedMs === null ? Number.POSITIVE_INFINITY : (untilMs - issuedMs) / LAST_PART;
  if (untilMs <= nowMs) findings.push(found('WEFT_CHECK_TOKEN_EXPIRED', `the token in ${path} expired ${dayOf(untilMs)}`));
  else if (untilMs - nowMs <= Math.min(CERTIFICATE.agentTokenWarnMs, lastMs))
    findings.push(found('WEFT_CHECK_TOKEN_SOON', `the token in ${path} expires ${dayOf(untilMs)}`));
  return findings;
}

function answerFindings(answer: ControlAnswer, address: string, root: RootFacts): CheckFinding[] {
  if (answer.kind === 'silent')
    return [found('WEFT_CHECK_CONTROL_UNREACHABLE', `the control plane at ${address} cannot be reached: ${answer.reason}`)];
  return [...trustFindings(answer, address, root), ...clockFindings(answer, address)];
}

function trustFindings(
  { trust, reason }: ControlAnswer & { kind: 'answered' },
  address: string,
  root: RootFacts,
): CheckFinding[] {
  // What could not be read has been told, and vouches for nobody.
  if (root.kind === 'unreadable' || trust === 'trusted') return [];
  if (trust === 'wrong-name')
    return [found('WEFT_CHECK_SERVER_NAME', `the certificate of ${address} is for another name: ${reason}`)];
  // Its own certificate is made anew each day, so the clocks are what is wrong.
  if (trust === 'expired')
    return [
      foundAs(
        'WEFT_CHECK_CLOCK_SKEW',
        'clock',
        `the certificate of ${address} is not valid now: ${reason}`,
        'set the clocks of both machines',
      ),
    ];
  return [found('WEFT_CHECK_WRONG_ROOT', `the certificate of ${address} is not signed by ${root.path}: ${reason}`)];
}

function clockFindings({ clockMs, nowMs }: ControlAnswer & { kind: 'answered' }, address: string): CheckFinding[] {
  if (clockMs === null || Math.abs(clockMs - nowMs) <= CHECK.clockSkewMsMax) return [];
  const seconds = Math.round(Math.abs(clockMs - nowMs) / 1_000);
  return [
    found('WEFT_CHECK_CLOCK_SKEW', `this clock is ${seconds} s ${clockMs < nowMs ? 'ahead of' : 'behind'} that of ${address}`),
  ];
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, '2026-01-01T00:00'.length);
}
