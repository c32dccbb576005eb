/** The client that notes what all hold, and tells messages when one does for all. */
export const NOTING = 'n0';

/** What the bench tells a fleet: to begin, to let go of the streams, and whether each client tells each message or one for all. */
export type FleetOrder = FollowOrder | { kind: 'leave' } | { kind: 'tell'; all: boolean };

/** knowing: they come back, and say what they held when they left. */
export type FollowOrder = {
  kind: 'follow';
  knowing: boolean;
  address: string;
  rootsPem: string;
  clients: readonly { node: string; token: string }[];
};

/** What a fleet tells the bench: that a client has everything, after so many attempts, and each message after that. */
export type FleetReport =
  | { kind: 'synced'; node: string; attempts: number; bytes: number; messages: number; largest: number; atMs: number }
  | { kind: 'told'; node: string; typeUrl: string; atMs: number; bytes: number }
  | { kind: 'ended'; node: string; why: string };
