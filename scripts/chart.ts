// Makes the Helm chart, build/chart/weft: what deploy/helm/weft has, and templates made from the manifests of deploy/kubernetes, which
// are the one place where the objects are written.
//
//   node scripts/chart.ts     prints the folder
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUT = join(ROOT, 'build/chart/weft');
const IMAGE = '{{ .Values.global.hub }}/weft:{{ .Values.global.tag }}';

/** What of a manifest is a value: a line of it as it is there, once, and what stands in its place. */
type Substitution = readonly [line: string, lines: string];

const PULLING: readonly Substitution[] = [
  ['          image: localhost/weft:0.1.0', `          image: "${IMAGE}"`],
  ['          imagePullPolicy: IfNotPresent', '          imagePullPolicy: {{ .Values.global.imagePullPolicy }}'],
];
const PULL_SECRETS =
  '      {{- with .Values.global.imagePullSecrets }}\n      imagePullSecrets: {{ toJson . }}\n      {{- end }}';
const TRUST_DOMAIN = '            - --trust-domain={{ .Values.trustDomain }}';
const LOG_LEVEL = '{ name: WEFT_LOG_LEVEL, value: {{ .Values.global.logLevel }} }';
const RESOURCES = '          resources: { requests: { cpu: 100m, memory: 128Mi } }';

const MANIFESTS: Readonly<Record<string, readonly Substitution[]>> = {
  'control-rbac': [],
  'agent-rbac': [],
  control: [
    ...PULLING,
    ['  replicas: 1', '  replicas: {{ .Values.control.replicas }}'],
    [
      '      serviceAccountName: weft-control',
      `      serviceAccountName: weft-control
${PULL_SECRETS}
      nodeSelector: {{ toJson .Values.control.nodeSelector }}
      tolerations: {{ toJson .Values.control.tolerations }}
      affinity: {{ toJson .Values.control.affinity }}`,
    ],
    [
      '            - --waypoint-image=localhost/weft:0.1.0',
      `            - --waypoint-image=${IMAGE}
            - --auto-waypoints={{ ternary "on" "off" .Values.waypoint.auto }}
            {{- with .Values.waypoint.accessLogFormat }}
            - {{ printf "--access-log-format=%s" . | toJson }}
            {{- end }}
${TRUST_DOMAIN}
            {{- with .Values.tracing.collector }}
            - --trace-collector={{ . }}
            - --trace-sampling={{ $.Values.tracing.sampling }}
            {{- end }}`,
    ],
    [
      '          ports: [{ name: grpc-xds, containerPort: 15012 }]',
      `          env: [${LOG_LEVEL}]\n          ports: [{ name: grpc-xds, containerPort: 15012 }]`,
    ],
    [RESOURCES, '          resources: {{ toJson .Values.control.resources }}'],
  ],
  agent: [
    ...PULLING,
    ['      serviceAccountName: weft-agent', `      serviceAccountName: weft-agent\n${PULL_SECRETS}`],
    ['      nodeSelector: { kubernetes.io/os: linux }', '      nodeSelector: {{ toJson .Values.agent.nodeSelector }}'],
    ['      tolerations: [{ operator: Exists }]', '      tolerations: {{ toJson .Values.agent.tolerations }}'],
    ['            - --kubernetes', `            - --kubernetes\n${TRUST_DOMAIN}`],
    ['          env:', `          env:\n            - ${LOG_LEVEL}`],
    [RESOURCES, '          resources: {{ toJson .Values.agent.resources }}'],
  ],
};

/** A template from the text of a manifest. Errors: when the manifest has not that line, or has it more than once. */
function templateOf(name: string, manifest: string, substitutions: readonly Substitution[]): string {
  const lines = manifest.trimEnd().split('\n');
  // What Helm would take for its own is none of it.
  if (manifest.includes('{{')) throw new Error(`deploy/kubernetes/${name}.yaml has braces that a template would read`);
  for (const [line, replacement] of substitutions) {
    const at = lines.indexOf(line);
    if (at < 0 || lines.includes(line, at + 1))
      throw new Error(
        `deploy/kubernetes/${name}.yaml is to have this line once, which scripts/chart.ts makes a value: ${line.trim()}`,
      );
    lines[at] = replacement;
  }
  return `${lines.join('\n')}\n`;
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
cpSync(join(ROOT, 'deploy/helm/weft'), OUT, { recursive: true });
mkdirSync(join(OUT, 'crds'));
// Its own kind alone: the others belong to the Gateway API and to Istio, and to whoever installs those.
cpSync(join(ROOT, 'config/crds/weft.dev_trafficpolicies.yaml'), join(OUT, 'crds/trafficpolicies.yaml'));
for (const [name, substitutions] of Object.entries(MANIFESTS)) {
  const manifest = readFileSync(join(ROOT, `deploy/kubernetes/${name}.yaml`), 'utf8');
  writeFileSync(join(OUT, `templates/${name}.yaml`), templateOf(name, manifest, substitutions));
}
process.stdout.write(`${OUT}\n`);
