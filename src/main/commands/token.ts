import type { TokenOptions } from '#cli/token.ts';
import { controlClient } from '#main/commands/control-client.ts';

/** `weft token`. */
export async function token({ node, socket }: TokenOptions): Promise<number> {
  const { token: text } = await controlClient(socket).token(node);
  process.stdout.write(`${text}\n`);
  return 0;
}
