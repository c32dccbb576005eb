import type { TokenOptions } from '#cli/control.ts';
import { controlClient } from '#platform/local-api/clients.ts';

/** `weft token`. */
export async function token({ node, socket }: TokenOptions): Promise<number> {
  const { token: text } = await controlClient(socket).token(node);
  process.stdout.write(`${text}\n`);
  return 0;
}
