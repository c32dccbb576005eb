import type { IpAddress } from '#model/address/ip.ts';

/** Where a waypoint (or gateway) is reached: by service hostname or by address, always over HBONE. */
export type GatewayAddress =
  | { kind: 'hostname'; namespace: string; hostname: string; hbonePort: number }
  | { kind: 'address'; network: string; address: IpAddress; hbonePort: number };
