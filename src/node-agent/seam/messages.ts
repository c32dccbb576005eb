import type { IpAddress } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { Tried } from '#model/path/decide.ts';
import type { Tunnel } from '#model/path/reach.ts';
import type { L4DryRun } from '#model/policy/l4.ts';
import type { RecordEnd, RecordPath, RecordSource, RecordVia } from '#model/telemetry/access-record.ts';
import { type CloseCause, Refusal, type ResponseFlag } from '#model/telemetry/close-cause.ts';
import type { RevocationList } from '#protocol/identity/revocation.ts';
import type { CommonToControl, CommonToData, Link } from '#protocol/seam/common-messages.ts';

// What passes between the one that knows (control) and those that carry (data): plain data, in the order in which it was sent.
// Whoever carries works from answers that he keeps; whoever knows tells him which of them no longer hold.

/** A Refusal as data. */
export type RefusalData = {
  readonly why: CloseCause;
  readonly message: string;
  readonly flag: ResponseFlag;
  readonly policy: string | null;
  readonly rule: number | null;
};

/** What of a refusal passes the seam. */
export function refusalData({ why, message, flag, policy, rule }: Refusal): RefusalData {
  return { why, message, flag, policy, rule };
}

/** The refusal that it was. */
export function refusalFrom({ why, message, ...more }: RefusalData): Refusal {
  return new Refusal(why, message, more);
}

/** What the kernel wrote down of an arrival: nothing, something of another connection, or who opened it and what he dialled. */
export type Attested =
  | { readonly kind: 'none' }
  | { readonly kind: 'other' }
  | { readonly kind: 'opened'; readonly sourceId: number; readonly dialled: RecordEnd; readonly vip: IpAddress | null };

/** What is asked about one connection. Two that ask the same get the same answer. */
export type Question =
  /** A workload of this node dials. `chosen`: what the kernel drew for a VIP. `tried`: endpoints that could not be reached. */
  | {
      readonly kind: 'outbound';
      readonly enrolment: number;
      readonly client: IpAddress;
      readonly dialled: RecordEnd;
      readonly chosen: RecordEnd | null;
      readonly tried: readonly Tried[];
    }
  /** A CONNECT for a workload of this node. `host`: the service that the client says it dialled. */
  | {
      readonly kind: 'tunnel';
      readonly enrolment: number;
      readonly peer: Identity;
      readonly remote: IpAddress;
      readonly local: IpAddress;
      readonly authority: string;
      readonly host: string | null;
    }
  /** An arrival at a workload of this node that the kernel handed over. `clientPort`: 0 where the kubelet does not connect to. */
  | {
      readonly kind: 'plaintext';
      readonly enrolment: number;
      readonly client: IpAddress;
      readonly clientPort: number;
      readonly target: RecordEnd;
      readonly attested: Attested;
    };

/** How a connection gets where it goes. */
export type Way =
  /** Plain TCP from the namespace of whoever dials. */
  | { readonly kind: 'clear'; readonly target: RecordEnd }
  /**
   * To an app of this node. `as`: the address under which it sees the client where that is not the client's own; `peer`: whom
   * the client reaches; `baggage`: what a peer is told of the workload; `proxied`: it listens on loopback, and is told in front of all
   * bytes what was asked for, and by whom.
   */
  | {
      readonly kind: 'app';
      readonly enrolment: number;
      readonly target: RecordEnd;
      readonly as: IpAddress | null;
      readonly peer: Identity | null;
      readonly baggage: string;
      readonly proxied?: { readonly dialled: RecordEnd; readonly identity: string };
    }
  | { readonly kind: 'tunnel'; readonly tunnel: Tunnel; readonly baggage: string }
  | { readonly kind: 'refused'; readonly refusal: RefusalData };

/** One of the ways that a connection may take, and what is told of it. */
export type Choice = {
  readonly weight: number;
  readonly way: Way;
  readonly path: RecordPath;
  readonly dryRun: readonly L4DryRun[];
  /** The endpoint of a service, or instance of a waypoint, that it leads to: another may be tried when this one cannot be reached. */
  readonly endpoint: Tried | null;
};

/** What is known of connections that ask the same. */
export type Answer = {
  readonly source: Pick<RecordSource, 'workload' | 'identity'>;
  /** At least one; which of them a connection takes is drawn by their weights. */
  readonly choices: readonly Choice[];
};

/** A workload whose connections are to be carried. Descriptors belong to whoever gets them. */
export type ServedWorkload = {
  readonly enrolment: number;
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly identity: Identity;
  readonly netnsCookie: bigint;
  /** Its place among the shares of the process. */
  readonly share: number;
  readonly netnsFd: number;
  readonly outboundFd: number;
  readonly plaintextFd: number;
  /** Null: it takes tunnels itself. */
  readonly hboneFd: number | null;
  readonly addresses: readonly IpAddress[];
  /** Ports that the kubelet of the node connects to. */
  readonly probed: readonly number[];
  /** What listens on ports of the machine for this one of its own; both are the arrivals of a peer outside the mesh. */
  readonly published: readonly { readonly fd: number; readonly port: number }[];
};

/** A connection that is carried now, as texts. */
export type OpenCall = {
  /** Of the workload of this node that opened it, or that it comes to. */
  readonly uid: string;
  readonly direction: 'inbound' | 'outbound';
  readonly src: string;
  /** What the client dialled; null: what is reached. */
  readonly dialled: string | null;
  /** What is reached on the wire. */
  readonly dst: string;
  readonly via: RecordVia | null;
};

/** From whoever knows. */
export type ToData =
  /** Certificates that are revoked from here on, in the place of those before. */
  | { readonly kind: 'revocations'; readonly lists: readonly RevocationList[] }
  /** To be answered with what is carried now. */
  | { readonly kind: 'list'; readonly list: number }
  | { readonly kind: 'begin'; readonly served: ServedWorkload }
  /** Its processes are dead: to be answered when nothing of what they wrote is under way any more. */
  | { readonly kind: 'finish'; readonly enrolment: number }
  /** Another process accepts its connections from now on; those that are there go on. */
  | { readonly kind: 'retire'; readonly enrolment: number }
  /** Its connections are cut. */
  | { readonly kind: 'end'; readonly enrolment: number }
  /** `keeps`: the next one that asks the same may have it, too, until it is dropped. */
  | {
      readonly kind: 'answer';
      readonly question: number;
      readonly answer: number;
      readonly content: Answer;
      readonly keeps: boolean;
    }
  /** No new connection goes by these; null: by none. Those that do go on. */
  | { readonly kind: 'drop'; readonly answers: readonly number[] | null }
  /** Connections that go by this choice of this answer are cut, and no new one goes by the answer. */
  | { readonly kind: 'revoke'; readonly answer: number; readonly choice: number; readonly refusal: RefusalData }
  /** The certificate of an identity ended: what is carried for it is cut. */
  | { readonly kind: 'lapsed'; readonly identity: Identity; readonly refusal: RefusalData }
  | CommonToData;

/** From whoever carries. */
export type ToControl =
  | { readonly kind: 'listed'; readonly list: number; readonly calls: readonly OpenCall[] }
  | { readonly kind: 'ask'; readonly question: number; readonly about: Question }
  /** No connection goes by these any more, and none will. */
  | { readonly kind: 'release'; readonly answers: readonly number[] }
  | { readonly kind: 'finished'; readonly enrolment: number }
  | CommonToControl;

/** The control's end of what leads to one that carries. */
export type DataLink = Link<ToData>;

/** The end of what leads to control. */
export type ControlLink = Link<ToControl>;
