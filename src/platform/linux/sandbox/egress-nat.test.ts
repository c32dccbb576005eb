import assert from 'node:assert/strict';
import test from 'node:test';
import { tryParseCidr } from '#model/address/ip.ts';
import { parsePool } from '#platform/linux/net/address-pool.ts';
import { egressNatRuleset } from './egress-nat.ts';

test('the ruleset replaces the table of the node, and spares the pools, the excluded and what stays on the link', () => {
  const excluded = ['10.41.0.0/16', 'fd41::/16'].flatMap((text) => tryParseCidr(text) ?? []);
  const pool = parsePool('10.41.1.0/24', 'fd41:1::/64');
  assert.equal(
    egressNatRuleset({ node: 'node-a', bridge: 'weft0', pool, excluded }),
    `add table inet weft_node_a
delete table inet weft_node_a
table inet weft_node_a {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    tcp dport 15008 accept
    ip saddr 10.41.1.0/24 oifname != "weft0" ip daddr != 10.41.1.0/24 ip daddr != 10.41.0.0/16 ip daddr != 169.254.0.0/16 ip daddr != 224.0.0.0/4 ip daddr != 255.255.255.255/32 masquerade
    ip6 saddr fd41:1::/64 oifname != "weft0" ip6 daddr != fd41:1::/64 ip6 daddr != fd41::/16 ip6 daddr != fe80::/10 ip6 daddr != ff00::/8 masquerade
  }
}
`,
  );
});

test('without IPv6 there is no rule for it', () => {
  assert.doesNotMatch(
    egressNatRuleset({ node: 'a', bridge: 'weft0', pool: parsePool('10.41.1.0/24', null), excluded: [] }),
    /ip6/,
  );
});
