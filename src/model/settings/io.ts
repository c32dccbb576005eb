import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;

/** I/O core: the rows of the table. */
export const IO_SETTINGS = {
  about: { title: 'I/O core', text: 'Sockets and TLS of agents and waypoints.' },
  rows: {
    readBytes: setting(
      256 * KIB,
      'bytes',
      'Read at once. Large, so that a bulk transfer costs few calls; there is only one such buffer in a loop.',
    ),
    sharedReadBytes: setting(
      64 * KIB,
      'bytes',
      'Read at once while others with much to read wait for their turn: some 0.2 ms with what is written of it.',
    ),
    turnMs: setting(
      0.5,
      'ms',
      'How long a turn lasts before connections with much to read wait for the next ones, also if less than `turnBytesMax` was moved: on a machine with much else to do the same bytes take longer.',
    ),
    turnBytesMax: setting(
      512 * KIB,
      'bytes',
      'Read and written in one turn before connections with much to read wait for the next ones, those of one address after one of each other: the milliseconds by which bulk of one workload may hold up a message of another.',
    ),
    muchBytes: setting(
      16 * KIB,
      'bytes',
      'Read of a connection at once, it is one with much to read; also the least that is asked for where what is read goes has less room.',
    ),
    readAheadBytes: setting(
      64 * KIB,
      'bytes',
      'Read of a paused connection, whose end could not be seen otherwise. At the most: what one read brings may pass it.',
    ),
    chunkBytes: setting(
      32 * KIB,
      'bytes',
      'Small writes of one turn are gathered in pieces of this size, and what the kernel does not take waits in them.',
    ),
    resetsKnownMax: setting(64, 'count', 'Causes of resets that share one error each; peers may invent codes of their own.'),
    spareChunksMax: setting(
      128,
      'count',
      'Empty pieces that a loop keeps for the next writes: more than connections are commonly written to in one turn.',
    ),
    directBytes: setting(16 * KIB, 'bytes', 'A write of this size leaves at once, without a copy, when nothing waits before it.'),
    pendingBytesMax: setting(
      64 * KIB,
      'bytes',
      'Writers wait while this much waits for the kernel. Small: it has been encrypted or copied already.',
    ),
    eventsPerTurnMax: setting(256, 'count', 'Descriptors that are served in one turn of a loop before libuv has its turn.'),
    turnsWithoutLibuvMax: setting(
      64,
      'count',
      'Turns of a loop in a row in which libuv has nothing to do, before it is asked all the same.',
    ),
    silentTurnsMax: setting(
      1_000,
      'count',
      'First turns of a loop in which libuv always says that it would not wait at all: after so many this Node.js is taken for one that never says otherwise.',
    ),
    blindWaitMs: setting(5, 'ms', 'How long a loop waits on such a Node.js before it looks whether a timer is due.'),
    roundsPerTurnMax: setting(8, 'count', 'How often what a turn brought about may bring about more before libuv has its turn.'),
    keyUpdatesMax: setting(
      64,
      'count',
      'Messages of TLS after the handshake, such as new keys, that a peer may send in `keyUpdatesMs`; more end the connection. Keys last for hundreds of gigabytes.',
    ),
    keyUpdatesMs: setting(60_000, 'ms', 'The time in which `keyUpdatesMax` are counted.'),
    lingerMs: setting(
      1_000,
      'ms',
      'A connection that was refused with a TLS alert is closed this long after it, or when its peer ends it: closed at once, what the peer still sends would be answered by a reset, and the alert be lost.',
    ),
    lingerBytesMax: setting(256 * KIB, 'bytes', 'What such a peer may still send; it is dropped.'),
    lingeringMax: setting(256, 'count', 'Such connections at once; further ones are closed without waiting.'),
    acceptsPerTurnMax: setting(
      16,
      'count',
      'Connections that one listener accepts in one turn: each is a third of a millisecond of work, for which all others wait.',
    ),
    acceptRetryMs: setting(
      100,
      'ms',
      'A listener that could not accept, for want of descriptors or memory, tries again after this.',
    ),
  },
} as const satisfies SettingGroup;

/** I/O core: the numbers. */
export const IO = valuesOf(IO_SETTINGS);
