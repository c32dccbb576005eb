import type { DemoMesh } from './mesh/demo-mesh.ts';
import { ECHO_PORT } from './mesh/shop.ts';
import { inNetns } from './placement.ts';
import { weft } from './weft-command.ts';

/** What a visitor of the interactive demo is shown; every command can be pasted into another root shell. */
export function thingsToTry(mesh: DemoMesh): string {
  const { plan, paths } = mesh;
  const inside = paths.insideScript;
  const near = mesh.app('echo-near').address[4];
  return `
The bookshop is open: storefront, details, reviews v1 and the waypoint on alpha; reviews v2, v3 and ratings on beta.
In another root shell (inside NAME COMMAND… runs a command as if it were that app):

Ask the shop
  ${inside} shopper curl -s 'http://storefront/?book=7'
See the route at work: nine of ten answers from v1, one from v2; testers get v3
  for i in $(seq 20); do ${inside} shopper curl -s http://reviews/reviews | grep '"version"'; done | sort | uniq -c
  ${inside} shopper curl -s -H 'x-tester: red' http://reviews/reviews
Be refused: a method by the waypoint, a service account by the kernel
  ${inside} shopper curl -si -X DELETE http://reviews/reviews
  ${inside} stranger curl -sv telnet://echo-near:7
Open a connection to the other node and leave it open (type something, it comes back)
  ${inside} shopper curl -sN telnet://echo-far:7
Watch the link between the nodes meanwhile: nothing but TLS
  ${inNetns(plan.nodes.alpha.netns, ['tcpdump', '-i', 'wire', '-n', '-A', 'tcp']).join(' ')}
Change who may do what while that connection is open: write shopper in place of stranger, save, see it closed
  \${EDITOR:-vi} ${paths.configDir}/40-access.yaml
Change the weights of the route
  \${EDITOR:-vi} ${paths.configDir}/20-reviews-route.yaml
Come from outside the mesh: let in where PERMISSIVE, refused where STRICT
  ${inside} outside curl -sv --max-time 2 telnet://${near}:${ECHO_PORT}
  ${inside} outside curl -sv --max-time 2 http://${mesh.app('ratings').address[4]}:9080/ratings
Ask the mesh how it is
  ${weft('status', '--run-dir', paths.meshRunDir).join(' ')}

Logs: ${plan.logDir}
Ctrl-C removes everything.
`;
}
