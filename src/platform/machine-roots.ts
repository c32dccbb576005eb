import { getCACertificates } from 'node:tls';

/** The authorities that the machine trusts, in PEM; those that come with Node.js where it names none. */
export function machineRoots(): string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('bundled');
}
