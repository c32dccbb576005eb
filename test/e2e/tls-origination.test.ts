import assert from 'node:assert/strict';
import test, { after, type TestContext } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { waypointConfigFromProto, waypointConfigToProto } from '#protocol/xds/waypoint-config.ts';
import { type Curled, curl } from '#waypoint/clients.testing.ts';
import { opensslServer, ServerAuthority } from '#waypoint/tls-servers.testing.ts';
import { type Rig, startRig, VIP } from '#waypoint/waypoint-rig.testing.ts';

// From resources as people write them to a real server of TLS, which knows nothing of the mesh.

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const HOST = 'api.example.com';

const clean: (() => void)[] = [];
after(() => {
  for (const one of clean) one();
});
/** The authority that the machine of these waypoints trusts; OpenSSL's name for its place. */
const MACHINE = new ServerAuthority({ after: (one) => clean.push(one) });
process.env.SSL_CERT_FILE = MACHINE.root.certificateFile;
process.env.SSL_CERT_DIR = '';

const GATEWAY =
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: waypoint, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }';
const entryTo = (port: number): string =>
  `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: api, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }, spec: { hosts: [${HOST}], addresses: [${VIP}], resolution: STATIC, endpoints: [{ address: 127.0.0.1 }], ports: [{ name: http, number: 80, protocol: HTTP, targetPort: ${port} }] } }`;
const policy = (hostname = HOST): string =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: { name: api, namespace: shop }, spec: { targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: api }], validation: { hostname: ${hostname}, caCertificateRefs: [{ group: "", kind: ConfigMap, name: ca }] } } }`;
const configMap = (text: string): string =>
  JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca', namespace: 'shop' }, data: { 'ca.crt': text } });

const entryAs = (port: number, more: string): string => entryTo(port).replace('hosts:', `${more}, hosts:`);
const rule = (tls: string): string =>
  `{ apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: { name: api, namespace: shop }, spec: { host: ${HOST}, trafficPolicy: { tls: { ${tls} } } } }`;

/** A mesh of these documents, and the waypoint that it configures, as it comes over the wire. */
class Egress {
  readonly mesh: YamlMesh;
  readonly rig: Rig;

  private constructor(rig: Rig, yaml: readonly string[]) {
    this.rig = rig;
    this.mesh = new YamlMesh(parser);
    this.say(...yaml);
  }

  static async start(t: TestContext, ...yaml: string[]): Promise<Egress> {
    const rig = await startRig();
    t.after(() => rig.close());
    return new Egress(rig, yaml);
  }

  say(...yaml: string[]): void {
    this.mesh.apply(yaml.join('\n---\n'));
    this.#bring();
  }

  remove(...names: string[]): void {
    this.mesh.remove(...names);
    this.#bring();
  }

  ask(): Promise<Curled> {
    return curl(this.rig.port, '/', '-H', `host: ${HOST}`);
  }

  #bring(): void {
    const { workloads, services, waypoints } = this.mesh.index.snapshot();
    this.rig.waypoint.meshChanged(this.rig.mesh.apply({ workloads, services, policies: new Map() }));
    const config = waypoints.get('shop/waypoint');
    assert.ok(config !== undefined);
    this.rig.waypoint.configure(waypointConfigFromProto(waypointConfigToProto(config)));
  }
}

test('config-api 1.16: a BackendTLSPolicy of a ServiceEntry, from its YAML to openssl s_server', async (t) => {
  const authority = new ServerAuthority(t);
  const port = await opensslServer(t, authority.server([`DNS:${HOST}`]));
  const egress = await Egress.start(t, GATEWAY, entryTo(port), policy());

  // Not in clear for want of the authority: nobody is dialled.
  assert.equal((await egress.ask()).status, 503);
  assert.equal(egress.rig.dials.length, 0);
  assert.match(String(egress.rig.lines.at(-1)?.response_code_details), /there_is_no_ConfigMap_shop\/ca/);

  egress.say(configMap(authority.root.pem));
  const { status, body } = await egress.ask();
  assert.equal(status, 200);
  assert.match(body, /TLSv1\.3, Cipher is/);

  egress.say(policy('other.example.com'));
  assert.equal((await egress.ask()).status, 503);
  assert.match(String(egress.rig.lines.at(-1)?.response_code_details), /for_api\.example\.com,_and_not_for_other\.example\.com/);

  egress.say(policy());
  assert.equal((await egress.ask()).status, 200);
  egress.remove('ConfigMap shop/ca');
  assert.equal((await egress.ask()).status, 503);
});

test('config-api 4.2: tls of a DestinationRule believes the authorities of the machine, and who its entry says the server is', async (t) => {
  const port = await opensslServer(t, MACHINE.server(['URI:spiffe://example.com/api']));
  const egress = await Egress.start(t, GATEWAY, entryTo(port), rule('mode: SIMPLE'));
  assert.equal((await egress.ask()).status, 503);
  assert.match(String(egress.rig.lines.at(-1)?.response_code_details), /not_for_api\.example\.com/);
  egress.say(entryAs(port, 'subjectAltNames: ["spiffe://example.com/api"]'));
  assert.equal((await egress.ask()).status, 200);
  egress.say(rule('mode: SIMPLE, sni: x.example.com, subjectAltNames: [y.example.com]'));
  assert.equal((await egress.ask()).status, 503);
});

test('config-api 4.2: an authority that the machine does not know is not believed, and nothing is dialled without TLS', async (t) => {
  const port = await opensslServer(t, new ServerAuthority(t).server([`DNS:${HOST}`]));
  const egress = await Egress.start(t, GATEWAY, entryTo(port), rule('mode: SIMPLE'));
  assert.equal((await egress.ask()).status, 503);
  assert.match(String(egress.rig.lines.at(-1)?.response_code_details), /certificate_verify_failed/);
  const dials = egress.rig.dials.length;
  for (const more of ['mode: MUTUAL', 'mode: SIMPLE, insecureSkipVerify: true', 'mode: SIMPLE, credentialName: c']) {
    egress.say(rule(more));
    assert.equal((await egress.ask()).status, 503, more);
  }
  assert.equal(egress.rig.dials.length, dials);
});
