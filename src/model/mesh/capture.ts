import { WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import type { WorkloadRequest } from './registration.ts';

/** What of a workload's own traffic the data path of its node takes. */
export type Capture = {
  /** Plain text from outside the mesh goes to the app past policy. What is attested or comes by a tunnel is judged all the same. */
  readonly inboundInClear: boolean;
  /** Its questions to nameservers are answered by the agent. */
  readonly dns: boolean;
};

/** Istio's annotations, which say otherwise than usual. */
export const CAPTURE_ANNOTATIONS = {
  inboundInClear: 'ambient.istio.io/bypass-inbound-capture',
  dns: 'ambient.istio.io/dns-capture',
} as const satisfies Record<keyof Capture, string>;

/** Spellings of a truth value, as Go's ParseBool has them: those that Istio reads. */
const YES = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const NO = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

/** What annotations say. A value that cannot be read says nothing: then it is as usual, which is the stricter of the two. */
export function captureOf(annotations: WorkloadRequest['annotations']): Capture {
  return {
    inboundInClear: YES.includes(annotations?.[CAPTURE_ANNOTATIONS.inboundInClear] ?? ''),
    dns: !NO.includes(annotations?.[CAPTURE_ANNOTATIONS.dns] ?? ''),
  };
}

/** Whether both say the same of it. */
export function sameCapture(one: WorkloadRequest['annotations'], other: WorkloadRequest['annotations']): boolean {
  const [a, b] = [captureOf(one), captureOf(other)];
  return a.inboundInClear === b.inboundInClear && a.dns === b.dns;
}

/** A sentence for each annotation of these that is about capture and cannot be read. */
export function captureProblems(annotations: Readonly<Record<string, string>>): string[] {
  return Object.values(CAPTURE_ANNOTATIONS).flatMap((name) => {
    const value = annotations[name];
    if (value === undefined || YES.includes(value) || NO.includes(value)) return [];
    return [`annotation ${name} is neither true nor false: "${value}"; it is as if it were not there`];
  });
}

/** Those of these annotations that say something about capture. */
export function captureAnnotations(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const names: readonly string[] = Object.values(CAPTURE_ANNOTATIONS);
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => names.includes(name)));
}

/** What the kernel is told of a workload that is enrolled as this; what its record says comes with that. */
export function workloadFlags({ nativeTunnel, annotations }: Pick<WorkloadRequest, 'nativeTunnel' | 'annotations'>): number {
  return (nativeTunnel ? WORKLOAD_FLAG.nativeTunnel : 0) | (captureOf(annotations).dns ? 0 : WORKLOAD_FLAG.ownDns);
}
