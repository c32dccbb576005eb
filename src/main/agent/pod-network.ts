import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CniFolders } from '#cli/pod-options.ts';
import type { Clock, Random } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { PLUGIN } from '#model/network-chain/conf-list.ts';
import { ChainKeeper } from '#node-agent/enrollment/pods/chain-keeper.ts';
import { ChainedNetwork } from '#node-agent/enrollment/pods/chained-network.ts';
import type { PodNetwork } from '#node-agent/enrollment/pods/pod-network.ts';
import { installProgram, placeDropIn, readConfs, rewriteConf, watchConfs } from '#platform/cni/chain-files.ts';
import { servePlugin } from '#platform/cni/serve-plugin.ts';
import { replaceFile } from '#platform/files/replace-file.ts';
import { namespaceAt } from '#platform/linux/netns/pod-namespaces.ts';
import { WEFT_ROOT } from '#platform/program/installation.ts';
import { NAMESPACES_FILE, PLUGIN_SOCKET } from '#protocol/cni/messages.ts';

/** Made by scripts/build-cni. */
const PROGRAM = join(WEFT_ROOT, 'build/cni', PLUGIN);

/** The network of the pods of this node, with our plugin in the chain that makes it. */
export function chainedNetwork({ conf, bin }: CniFolders, effects: { clock: Clock; random: Random; log: Log }): PodNetwork {
  const chain = new ChainKeeper({
    read: () => readConfs(conf),
    rewrite: (file, text) => rewriteConf(conf, file, text),
    dropIn: (network, text) => placeDropIn(conf, network, text),
    watch: (changed) => watchConfs(conf, changed),
    ...effects,
  });
  return new ChainedNetwork({
    chain,
    serve: (answer) => servePlugin(PLUGIN_SOCKET, answer),
    install: () => installProgram(PROGRAM, join(bin, PLUGIN)),
    async writeNamespaces(text) {
      await mkdir(dirname(NAMESPACES_FILE), { recursive: true });
      await replaceFile(NAMESPACES_FILE, text);
    },
    async removeFiles() {
      await rm(PLUGIN_SOCKET, { force: true });
      await rm(dirname(NAMESPACES_FILE), { recursive: true, force: true });
    },
    namespaceAt,
    ...effects,
  });
}
