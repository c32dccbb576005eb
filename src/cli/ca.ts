import { Argument, type Command } from 'commander';
import type { CaStatus } from '#protocol/api/control.ts';
import { type Act, controlSocketOption, type DataFormat, formatData, makeCommand, outputOption } from './command.ts';
import { formatTable } from './text-format.ts';

/** What `weft ca` is told. */
export type CaOptions = { act: 'show' | 'rotate'; socket: string; output: 'text' | DataFormat };

/** `weft ca`: the certificate authority of the mesh, and its rotation. */
export function caCommand(act: Act<CaOptions>): Command {
  return makeCommand('ca', 'Parts of a mesh of several machines:', 'Show the roots of the mesh, or replace the root', [
    { command: 'weft ca', does: 'see which roots are trusted, and how far a rotation is' },
    { command: 'weft ca rotate', does: 'make a new root and put it in the place of the old one, without breaking a connection' },
  ])
    .description(
      'Show the roots of the mesh, or replace the root. A rotation takes two days and goes on by itself, also after a restart: first everybody is told to trust the new root as well, which comes with the next certificate of each; a day later the new root signs; another day later the old one is withdrawn. Connections live on. Files of --control-root on other nodes go on working for the control plane; replace them by root-cert.pem when you can.',
    )
    .addArgument(new Argument('[action]', 'rotate: begin to replace the root; without it nothing is changed').choices(['rotate']))
    .addOption(outputOption('text'))
    .addOption(controlSocketOption())
    .action((action: 'rotate' | undefined, rest: Omit<CaOptions, 'act'>) => act({ ...rest, act: action ?? 'show' }));
}

const STEPS = {
  distributing: 'everybody is told to trust the second root; it signs from',
  signing: 'the first root signs, and both are trusted; the second is withdrawn at',
  done: 'over since',
};

/** What `weft ca` prints. */
export async function formatCa(status: CaStatus, output: CaOptions['output']): Promise<string> {
  if (output !== 'text') return formatData(status, output);
  const { signer, rotation, nextStepAt, roots } = status;
  const rows = roots.map(({ subject, expiresAt, fingerprint }) => [subject, expiresAt, fingerprint]);
  const table = formatTable(['ROOT', 'EXPIRES', 'SHA-256'], rows);
  const lines = [`signer    ${signer === 'own' ? 'of its own' : 'given (--ca-dir)'}`];
  lines.push(`rotation  ${rotation === null ? 'none' : `${rotation}: ${STEPS[rotation]} ${nextStepAt ?? ''}`}`);
  return `${lines.join('\n')}\n${table}`;
}
