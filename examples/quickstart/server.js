// A web server, without a line about meshes in it.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const peer = request.socket.remoteAddress?.replace('::ffff:', '');
  console.log(`${request.method} ${request.url} from ${peer}`);
  response.end(`hello, ${peer}\n`);
});
server.listen(8080, () => console.log('listening on port 8080'));
