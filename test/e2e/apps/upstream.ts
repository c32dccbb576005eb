/**
 * A server whose answers are as it is told. Argument: its name, which its answers tell. Each line on standard input is a command; `report` is
 * answered by a line `{"report": …}`, all others by `{"<command>": null}`:
 * `well`: 200; `fail`: 500; `unready`: 503 to GET, while everything else is done and its connection then lost; `hold`: no answer yet; `release`: those
 * answers, and `well`; `report`: requests that came since the last time, and ids (`x-id`) of what was done more than once, ever.
 */
import { createServer, type ServerResponse } from 'node:http';
import { createInterface } from 'node:readline';

const [name = ''] = process.argv.slice(2);
let mode = 'well';
let heard = 0;
const held: ServerResponse[] = [];
const done = new Map<string, number>();

createServer((request, response) => {
  heard++;
  request.resume().on('end', () => {
    const { 'x-id': id } = request.headers;
    const isUnready = mode === 'unready' && request.method === 'GET';
    // What is refused is not done.
    if (typeof id === 'string' && !isUnready && mode !== 'fail') done.set(id, (done.get(id) ?? 0) + 1);
    if (mode === 'hold') held.push(response);
    else if (mode === 'unready' && !isUnready) request.socket.destroy();
    else response.writeHead(isUnready ? 503 : mode === 'fail' ? 500 : 200).end(name);
  });
}).listen(7000, '::', () => console.log(JSON.stringify({ event: 'listening', pid: process.pid })));

function release(): void {
  mode = 'well';
  for (const response of held.splice(0)) response.end(name);
}

function report(): object {
  const found = { heard, done: done.size, twice: [...done].filter(([, times]) => times > 1).map(([id]) => id) };
  heard = 0;
  return found;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const answer = line === 'report' ? report() : null;
  if (line === 'release') release();
  else if (line !== 'report') mode = line;
  console.log(JSON.stringify({ [line]: answer }));
});
