import { cidrContains, type IpAddress, tryParseCidr } from '#model/address/ip.ts';
import type { ConnectionBackend, ConnectionMatch, ConnectionRoute } from '#model/waypoint/connection-routes.ts';

/** What routes see of a connection that is not HTTP. */
export type RoutedConnection = {
  /** Of the service, as it was dialled. */
  readonly port: number;
  /** Null when a hostname was dialled. */
  readonly address: IpAddress | null;
  /** What a client of TLS asks for, in lower case; null: it speaks something else, or asks for nothing. */
  readonly serverName: string | null;
  /** '' for one without identity. */
  readonly clientNamespace: string;
};

type ConnectionTest = (connection: RoutedConnection) => boolean;

/** Routes of connections, compiled. */
export type ConnectionTable = {
  /**
   * Whether it takes the name that the client asks for to tell where connections to a port go. `isTcp`: the port is declared so; the
   * server may speak first there, so that only who names the port has it read.
   */
  asksForName(port: number, isTcp: boolean): boolean;
  /** Where a connection may go; empty: to nobody. Null: no route means it. */
  backendsOf(connection: RoutedConnection): readonly ConnectionBackend[] | null;
};

/** The first route that matches wins. One whose subnets cannot be read means nobody, and is reported. */
export function compileConnectionRoutes(routes: readonly ConnectionRoute[], problem: (why: string) => void): ConnectionTable {
  const compiled = routes.map(({ matches, backends }) => ({
    tests: matches.map((match) => testOf(match, problem)),
    backends: backends.filter(({ weight }) => weight > 0),
  }));
  const named = routes.flatMap(({ matches }) => matches.filter(({ serverNames }) => serverNames !== null));
  return {
    asksForName: (port, isTcp) => named.some(({ ports }) => (ports === null ? !isTcp : ports.includes(port))),
    backendsOf(connection) {
      const found = compiled.find(({ tests }) => tests.length === 0 || tests.some((test) => test(connection)));
      return found?.backends ?? null;
    },
  };
}

function testOf(
  { ports, serverNames, subnets, clientNamespace }: ConnectionMatch,
  problem: (why: string) => void,
): ConnectionTest {
  const tests: ConnectionTest[] = [];
  if (ports !== null) tests.push(({ port }) => ports.includes(port));
  if (clientNamespace !== null) tests.push((connection) => connection.clientNamespace === clientNamespace);
  if (serverNames !== null)
    tests.push(({ serverName }) => serverName !== null && serverNames.some((one) => isCalled(serverName, one)));
  if (subnets !== null) {
    const blocks = subnets.flatMap((text) => {
      const block = tryParseCidr(text);
      if (block === null) problem(`"${text}" is no block of addresses`);
      return block ?? [];
    });
    tests.push(({ address }) => address !== null && blocks.some((block) => cidrContains(block, address)));
  }
  return (connection) => tests.every((test) => test(connection));
}

/** A star stands for one or more labels at the beginning, and never for none (config-api 1.14). */
export function isCalled(serverName: string, pattern: string): boolean {
  if (!pattern.startsWith('*')) return serverName === pattern;
  const suffix = pattern.slice(1);
  return serverName.length > suffix.length && serverName.endsWith(suffix);
}
