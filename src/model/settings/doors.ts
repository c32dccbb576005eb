import { type SettingGroup, setting, valuesOf } from './setting.ts';

/** What strangers may cost: the rows of the table. */
export const DOOR_SETTINGS = {
  about: {
    title: 'Connections that have proved nothing',
    text: 'What those cost us who have shown neither certificate nor token: per process and kind of port, not per workload. Known are addresses of the mesh, and whoever has shown one before.',
  },
  rows: {
    waitingMax: setting(
      1_000,
      'count',
      'Tunnels, or clients of the control plane, on their way: each holds a descriptor and TLS state.',
    ),
    strangersMax: setting(750, 'count', 'Of these from unknown sources; the rest is kept for known ones.'),
    perStrangerMax: setting(64, 'count', 'Of these from one unknown source: an IPv4 address, or the /64 of an IPv6 one.'),
    deadlineMs: setting(
      10_000,
      'ms',
      "From accepting a connection to the end of its handshake and the peer's first SETTINGS, or to a call with a good token.",
    ),
    pressedDeadlineMs: setting(1_000, 'ms', 'What is left of that for unknown sources when they hold all their places.'),
    burst: setting(200, 'count', 'Connections that one unknown source may begin at once.'),
    beginsPerSecond: setting(50, 'per second', 'How fast that allowance comes back.'),
    failureCost: setting(
      4,
      'count',
      'What a failed handshake or token takes from it beside its own place: checking it cost a signature.',
    ),
    sourcesMax: setting(4_096, 'count', 'Sources remembered, those that were quiet longest forgotten first.'),
    callsRefusedMax: setting(
      5,
      'count',
      'Calls without a good token on one connection to the control plane, which is then closed.',
    ),
    pageWaitingMax: setting(32, 'count', 'Connections to a metrics page.'),
    pageStrangersMax: setting(24, 'count', 'Of these from unknown sources; the rest is kept for the machine itself.'),
    pagePerStrangerMax: setting(8, 'count', 'Of these from one unknown source.'),
  },
} as const satisfies SettingGroup;

/** What strangers may cost: the numbers. */
export const DOOR = valuesOf(DOOR_SETTINGS);
