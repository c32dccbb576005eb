import { type SettingGroup, setting, valuesOf } from '#model/settings/setting.ts';

/** The ports that a mesh uses; none can be changed, as every node and every peer of Istio's ambient mode relies on them. */
export const PORT_SETTINGS = {
  about: { title: 'Ports', text: 'The same on every node: peers and the eBPF programs rely on them.' },
  rows: {
    outbound: setting(
      15_001,
      'TCP port',
      'In each workload: where the agent takes connections that leave (Istio and ztunnel use the same).',
    ),
    plaintext: setting(
      15_006,
      'TCP port',
      'In each workload: where the agent takes connections that come without a tunnel (as ztunnel).',
    ),
    hbone: setting(15_008, 'TCP port', 'At each workload and waypoint: HBONE, the only port between nodes (as in Istio).'),
    waypoint: setting(
      15_010,
      'TCP port',
      'At a waypoint: clients of its own node, which need no tunnel; never reachable from another node.',
    ),
    control: setting(15_012, 'TCP port', 'At the control plane: discovery and certificates over TLS (as istiod).'),
    controlStats: setting(15_014, 'TCP port', 'Metrics page of the control plane (as istiod).'),
    stats: setting(15_020, 'TCP port', 'Metrics pages of agents and waypoints (as ztunnel).'),
    dns: setting(15_053, 'UDP and TCP port', 'In each workload: where the agent answers DNS (as in Istio).'),
    nameserver: setting(53, 'UDP and TCP port', 'Where nameservers outside the mesh are asked. RFC 1035.'),
  },
} as const satisfies SettingGroup;

/** The ports that a mesh uses. */
export const PORT = valuesOf(PORT_SETTINGS);

/** Ports that a peer may never ask us to connect to (B9). */
export const RESERVED_PORTS: ReadonlySet<number> = new Set([PORT.outbound, PORT.plaintext, PORT.hbone]);
