import { writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How large a mesh is. `weight`: of each workload, 1 by default; with another one all of them have changed. */
export type MeshSize = { workloads: number; services: number; policies: number; weight?: number };

/** Documents of one file. */
const DOCUMENTS = 500;
/** Namespaces that workloads, services and policies are spread over. */
const NAMESPACES = 50;

/** Writes a mesh as YAML below `dir`: workloads by service, and policies that pick nothing of it. */
export async function writeMesh(dir: string, { workloads, services, policies, weight = 1 }: MeshSize): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeAll(dir, 'services', services, serviceDocument);
  await writeAll(dir, 'workloads', workloads, (index) =>
    workloadDocument(`w${index}`, addressOf(index), index % services, weight),
  );
  await writeAll(dir, 'policies', policies, (index) => policyDocument(`p${index}`, index, 8_080));
}

/** One workload in a file of its own gets another weight. */
export async function editWorkload(dir: string, weight: number): Promise<void> {
  await writeFile(join(dir, 'edited-workload.yaml'), workloadDocument('edited', '10.63.0.1', 0, weight));
}

/** One policy in a file of its own gets another port. */
export async function editPolicy(dir: string, port: number): Promise<void> {
  await writeFile(join(dir, 'edited-policy.yaml'), policyDocument('edited', 0, port));
}

/** One of the workloads of a storm, each in a file of its own, gets another weight: at once, as an editor would that is quicker than this. */
export function editOfStorm(dir: string, index: number, weight: number): void {
  writeFileSync(
    join(dir, `storm-${index}.yaml`),
    workloadDocument(`storm-${index}`, `10.62.${index >> 8}.${index & 0xff}`, 1, weight),
  );
}

async function writeAll(dir: string, what: string, count: number, document: (index: number) => string): Promise<void> {
  for (let from = 0; from < count; from += DOCUMENTS) {
    const indexes = Array.from({ length: Math.min(DOCUMENTS, count - from) }, (_, at) => from + at);
    await writeFile(join(dir, `${what}-${from / DOCUMENTS}.yaml`), indexes.map(document).join('---\n'));
  }
}

function namespaceOf(service: number): string {
  return `ns-${service % NAMESPACES}`;
}

function serviceDocument(index: number): string {
  return `apiVersion: v1
kind: Service
metadata: { name: s${index}, namespace: ${namespaceOf(index)} }
spec: { selector: { app: s${index} }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;
}

function workloadDocument(name: string, address: string, service: number, weight: number): string {
  return `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: ${namespaceOf(service)} }
spec: { address: ${address}, labels: { app: s${service} }, serviceAccount: s${service}, weight: ${weight} }
`;
}

function policyDocument(name: string, index: number, port: number): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${namespaceOf(index)} }
spec:
  selector: { matchLabels: { app: nobody-${index} } }
  action: DENY
  rules: [{ to: [{ operation: { ports: ["${port}"] } }] }]
`;
}

/** One for each workload. */
function addressOf(index: number): string {
  return `10.${64 + (index >> 16)}.${(index >> 8) & 0xff}.${index & 0xff}`;
}
