import { type Command, Option } from 'commander';
import { readDurationSeconds } from './option-values.ts';

/** Folders of a node, as its container runtime has them: of network configurations, and of their plugins' programs. */
export type CniFolders = { conf: string; bin: string };

/** What those options say. */
export type PodsParsed = { kubernetes: boolean; cniConf?: string; cniBin: string; drain?: number; readySocket?: string };

/** The options of an agent that is a pod of a cluster. */
export function podOptions(): Option[] {
  const kubernetes =
    'be a pod of a cluster, and take those pods of its node into the mesh whose label istio.io/dataplane-mode says so; --cgroup is its root by default';
  const conf =
    'with --kubernetes: stand in the chain of the network that is configured in this folder of the node, so that pods are in the mesh before they start (default: they are a moment later)';
  const drain =
    'where the next agent is started beside this one, and this one is told to end only then, as pods of a DaemonSet are: stay until it is told, and carry on for so long what it carries, such as 1h (default: it ends by itself, after 10 min at most, and with a signal)';
  return [
    new Option('--kubernetes', kubernetes).default(false),
    new Option('--cni-conf <dir>', conf),
    new Option('--cni-bin <dir>', 'folder of the node with the programs of its network plugins').default('/opt/cni/bin'),
    new Option('--drain <duration>', drain).argParser(readDurationSeconds),
    new Option(
      '--ready-socket <path>',
      'unix socket where weft-cni --ready, a probe of this pod, asks whether this agent serves',
    ),
  ];
}

/** Where the plugin of an agent stands in the chain; null: it has none. Ends with a usage error where there can be none. */
export function cniFolders({ kubernetes, cniConf, cniBin }: PodsParsed, command: Command): CniFolders | null {
  if (cniConf === undefined) return null;
  if (!kubernetes) return command.error('--cni-conf is for --kubernetes: what weft run starts is in the mesh from its beginning');
  return { conf: cniConf, bin: cniBin };
}
