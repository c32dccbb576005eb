import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import type { Answers, Granted } from '#node-agent/connection/answers.ts';
import type { Question, Way } from '#node-agent/seam/messages.ts';

/**
 * What is being dialled, unless it leaves the mesh before it has answered: from where it was, nobody will, and whoever waits could
 * be elsewhere. So as soon as the answer by which it is dialled does not hold any more, the same is asked again; only what is no
 * part of it any more is given up. Throws a Refusal then (workload-left), and what `dialling` throws.
 */
export function whileThere<Dialled extends { readonly stream: ByteStream }>(
  { answers }: { readonly answers: Answers },
  question: Question,
  granted: Granted,
  dialling: Promise<Dialled>,
): Promise<Dialled> {
  const { way } = granted.choice;
  return new Promise((resolve, reject) => {
    let isOver = false;
    let watched: Granted | null = null;
    const settle = (act: () => void): void => {
      if (isOver) return;
      isOver = true;
      watched?.release();
      act();
    };
    const look = async (): Promise<void> => {
      if (isOver) return;
      const now = await answers.ask(question, new Cut());
      watched?.release();
      watched = now;
      if (isOver) return now.release();
      if (now.choices.some((choice) => leadsTo(choice.way, way))) watch(now);
      else settle(() => reject(new Refusal('workload-left', 'the destination left the mesh before it answered')));
    };
    // Not at once: the change of which this is told is still being told to others.
    const watch = (answer: Granted): void => answer.onDropped(() => queueMicrotask(() => void look().catch(reject)));
    watch(granted);
    dialling.then(
      (dialled) => (isOver ? dialled.stream.reset() : settle(() => resolve(dialled))),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}

/** Whether a way leads to where `other` does. */
function leadsTo(way: Way, other: Way): boolean {
  if (way.kind !== 'tunnel' || other.kind !== 'tunnel') return way.kind === other.kind;
  const [a, b] = [way.tunnel, other.tunnel];
  return a.ip === b.ip && a.port === b.port && a.authority === b.authority;
}
