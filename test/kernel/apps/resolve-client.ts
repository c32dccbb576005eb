/** Asks nameservers as an app that brings its own list: "resolve NAME", "resolve6 NAME"; prints the addresses, or "error CODE". Argument: port, nameserver. */
import { Resolver } from 'node:dns/promises';
import { createInterface } from 'node:readline';

const [, , , nameserver = ''] = process.argv;
const resolver = new Resolver({ timeout: 3_000, tries: 1 });
resolver.setServers([nameserver]);
createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb, name = ''] = line.split(' ');
  const asked = verb === 'resolve6' ? resolver.resolve6(name) : resolver.resolve4(name);
  asked
    .then((addresses) => console.log(addresses.join(' ')))
    .catch((error: NodeJS.ErrnoException) => console.log('error', error.code));
});
console.log('ready');
