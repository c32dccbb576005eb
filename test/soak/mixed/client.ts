/**
 * Calls the mixed services in every way at once. Argument: how many callers of each way with short calls. Lines on standard input are
 * commands, each with an answer of its name: `begin`; `must N` and `may N`, from which versions of the configuration on answers are given
 * (versions.ts); `finish`, after which nothing is under way nor open. What goes wrong is told at once, and so is a stream that was cut.
 */
import { createInterface } from 'node:readline';
import { closeConnections, startCallers } from './callers.ts';
import { begin, end, learn, tally } from './course.ts';
import { closeChannel, startGrpcCallers } from './grpc-caller.ts';
import { startWebSockets } from './websocket-caller.ts';

const COUNT = Number(process.argv[2] ?? 2);
let all: Promise<unknown>[] = [];

const COMMANDS: Readonly<Record<string, (version: number) => unknown>> = {
  begin() {
    begin();
    all = [...startCallers(COUNT), ...startGrpcCallers(COUNT), ...startWebSockets()];
  },
  must: (version) => learn('must', version),
  may: (version) => learn('may', version),
  async finish() {
    end();
    await Promise.all(all);
    await closeConnections();
    closeChannel();
    return tally;
  },
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const [name = '', version = '0'] = line.split(' ');
  console.log(JSON.stringify({ [name]: (await COMMANDS[name]?.(Number(version))) ?? true }));
});
console.log(JSON.stringify({ event: 'listening', pid: process.pid }));
