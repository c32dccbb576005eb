import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { OUTSIDE_4, OUTSIDE_NAME } from '#testbed/nodes/plan.ts';
import { AttackedMesh, serviceYaml } from '../security/mesh.testing.ts';

const VIP = '10.96.106.1';
const NAME = 'server.attacks.svc.cluster.local';

const aliasYaml = (name: string, target: string): string => `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: attacks }
spec: { type: ExternalName, externalName: ${target} }
`;

type Answer = { type: string; name: string; rcode: string; answers: string[]; ms: number };

/** What a workload is told by the agent of its node, over the real sockets of its namespace. */
describe('names', () => {
  let mesh: AttackedMesh;
  before(async () => {
    const aliases = [aliasYaml('inside', NAME), aliasYaml('outside', OUTSIDE_NAME)];
    mesh = await AttackedMesh.up({ 'server.yaml': [serviceYaml('server', VIP), ...aliases].join('---\n') }, 1);
    await Promise.all([mesh.probe('client', 'alpha'), mesh.echo('server', 'alpha')]);
  });
  after(() => mesh?.down());

  /** `asked`: types and names in turn; the answers in that order. */
  const ask = async (transport: 'udp' | 'tcp', ...asked: string[]): Promise<Answer[]> => {
    const asker = join(import.meta.dirname, 'apps/name-asker.ts');
    const { code, stdout, stderr } = await mesh.inside('client', [process.execPath, asker, transport, ...asked]);
    assert.equal(code, 0, stderr);
    const told = stdout
      .trim()
      .split('\n')
      .map((line): Answer => JSON.parse(line));
    return asked.flatMap((name, at) =>
      at % 2 === 0 ? [] : told.filter((one) => one.name === name && one.type === asked[at - 1]),
    );
  };

  test('F6: names are answered over TCP, several over one connection, those of the mesh and those outside', async () => {
    const answers = await ask('tcp', 'A', NAME, 'AAAA', NAME, 'A', OUTSIDE_NAME);
    assert.deepEqual([answers[0]?.answers, answers[1]?.rcode, answers[2]?.rcode], [[VIP], 'NOERROR', 'NOERROR']);
    assert.ok((answers[2]?.answers.length ?? 0) > 0);
  });

  for (const transport of ['udp', 'tcp'] as const)
    test(`F15: what no mesh name has is empty, what the mesh does not know does not exist, at once and asked of nobody (${transport})`, async () => {
      const log = mesh.lab.resolver.child.logPath;
      const before = (await readFile(log, 'utf8')).length;
      const types = ['TXT', 'MX', 'SRV', 'CAA'].flatMap((type) => [type, NAME]);
      const absent = [
        'SRV',
        `_grpclb._tcp.${NAME}`,
        'A',
        'nobody.attacks.svc.cluster.local',
        'TXT',
        '_grpc_config.x.svc.cluster.local',
      ];
      const answers = await ask(transport, ...types, ...absent);
      assert.deepEqual(
        answers.map(({ rcode, answers: data }) => `${rcode} ${data.length}`),
        [...Array(4).fill('NOERROR 0'), ...Array(3).fill('NXDOMAIN 0')],
      );
      assert.ok(
        answers.every(({ ms }) => ms < 1_000),
        JSON.stringify(answers),
      );
      assert.doesNotMatch((await readFile(log, 'utf8')).slice(before), /cluster\.local/);
    });

  for (const transport of ['udp', 'tcp'] as const)
    test(`F16: an alias answers the name that it stands for and its addresses, of the mesh and from outside (${transport})`, async () => {
      const [inside, outside, absent] = await ask(
        transport,
        ...['A', 'inside.attacks.svc.cluster.local'],
        ...['A', 'outside.attacks.svc.cluster.local'],
        ...['AAAA', 'inside.attacks.svc.cluster.local'],
      );
      assert.deepEqual(inside?.answers, [NAME, VIP]);
      assert.deepEqual(outside?.answers, [OUTSIDE_NAME, OUTSIDE_4]);
      assert.deepEqual([absent?.rcode, absent?.answers], ['NOERROR', [NAME]]);
    });

  test('F16: a program connects by an alias as by the name that it stands for, over the mesh', async () => {
    const program = `require('net').connect(7, 'inside').on('data', (data) => { console.log(String(data)); process.exit(0); }).write('x')`;
    const { code, stdout, stderr } = await mesh.inside('client', [process.execPath, '-e', program]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /\S/);
    assert.deepEqual((await mesh.inside('client', ['getent', 'ahostsv4', 'outside'])).stdout.split(' ')[0], OUTSIDE_4);
  });
});
