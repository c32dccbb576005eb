import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { AGENT } from '#model/settings/agents.ts';
import { listenForRoot } from '#platform/local-api/serve-socket.ts';

/** What is answered to a request. Null: nothing, and who asks asks again. Never rejects. */
export type PluginAnswer = (request: string) => Promise<string | null>;

/**
 * Answers a CNI plugin on a unix socket that root alone can open: a request is all that it writes, the answer all that it gets.
 * Whoever listened there before is asked no more. Returns what ends that. Errors: WEFT_SOCKET_PATH.
 */
export async function servePlugin(path: string, answer: PluginAnswer): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy()); // the plugin was ended by its runtime
    serve(socket, answer).catch(() => socket.destroy()); // it asks again
  });
  // In the place of a former agent's by one step: in between nobody could say whether there is an agent.
  const own = `${path}.${process.pid}`;
  rmSync(own, { force: true });
  await listenForRoot(server, own);
  server.on('error', () => {}); // one that could not be accepted asks again
  renameSync(own, path);
  return () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
}

async function serve(socket: Socket, answer: PluginAnswer): Promise<void> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > AGENT.cniRequestBytesMax) return void socket.destroy();
  }
  const reply = await answer(Buffer.concat(chunks).toString('utf8'));
  if (reply === null) socket.destroy();
  else socket.end(reply);
}
