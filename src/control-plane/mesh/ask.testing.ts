import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { Engine } from '#control-plane/index/engine.ts';
import { DEFAULT_MESH_OPTIONS, type MeshOptions } from '#control-plane/index/mesh-options.ts';
import { type AnyTable, type Entry, entry, tableOf } from '#control-plane/index/table.ts';
import { VipAllocator } from '#control-plane/index/vip-allocator.ts';

/** What a derivation sees when exactly these entries are there. `reads`: tables that it may look into, beside theirs. */
export function ask<Answer, Reads extends AnyTable>(
  entries: readonly Entry[],
  reads: readonly Reads[],
  question: (mesh: MeshReader<Reads>) => Answer,
  options: Partial<MeshOptions> = {},
): Answer {
  const questions = tableOf<true>()('questions');
  const answers = tableOf<{ answer: Answer }>()('answers');
  const probe = defineDerivation({
    name: 'probe',
    each: questions,
    reads,
    writes: [answers],
    derive: ({ key }, mesh) => [entry(answers, key, { answer: question(mesh) })],
  });
  const engine = new Engine({
    derivations: [probe],
    outputs: [],
    options: { ...DEFAULT_MESH_OPTIONS, ...options },
    allocator: new VipAllocator(),
  });
  for (const { table, key, value } of entries) engine.put(table, key, value as never);
  engine.put(questions, 'q', true);
  engine.run();
  const found = engine.all(answers).get('q');
  if (found === undefined) throw new Error('the question was not asked');
  return found.answer;
}
