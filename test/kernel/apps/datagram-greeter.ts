/** A UDP server that answers each datagram with its name, what it got and from whom. Arguments: port, name. Prints "listening". */
import { createSocket } from 'node:dgram';

const [, , port, name = ''] = process.argv;
const socket = createSocket('udp6');
socket.on('message', (data, from) =>
  socket.send(`${name} ${data} ${from.address.replace('::ffff:', '')}`, from.port, from.address),
);
socket.bind(Number(port), '::', () => console.log('listening'));
