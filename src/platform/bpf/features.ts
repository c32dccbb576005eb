import { existsSync } from 'node:fs';
import { libbpf } from './libbpf.ts';

/** What the running kernel lacks and what is lost by it. */
export type Missing = { feature: string; since: string; loss: string; fatal: boolean };

const PROGRAM = { cgroupSockAddr: 18, sockOps: 13, skLookup: 30 };
const MAP = { skStorage: 24, ringBuffer: 27, sockHash: 18 };
const HELPER = { setRetval: 187, netnsCookie: 122 };

/** Probes the kernel by trial, not by version. Needs CAP_BPF; empty: everything is there. */
export function missingFeatures(): Missing[] {
  const api = libbpf();
  const missing: Missing[] = [];
  const need = (present: boolean, feature: string, since: string, loss: string, fatal: boolean): void => {
    if (!present) missing.push({ feature, since, loss, fatal });
  };
  need(
    existsSync('/sys/kernel/btf/vmlinux'),
    'BTF of the kernel',
    '5.4 with CONFIG_DEBUG_INFO_BTF',
    'programs cannot be loaded',
    true,
  );
  need(
    api.probeProgramType(PROGRAM.cgroupSockAddr, null) === 1,
    'cgroup socket-address programs',
    '4.17',
    'connections cannot be captured',
    true,
  );
  need(api.probeProgramType(PROGRAM.sockOps, null) === 1, 'sock_ops programs', '4.13', 'flows cannot be attested', true);
  need(
    api.probeProgramType(PROGRAM.skLookup, null) === 1,
    'sk_lookup programs',
    '5.9',
    'inbound connections cannot be checked',
    true,
  );
  need(api.probeMapType(MAP.skStorage, null) === 1, 'socket storage', '5.2', 'original addresses are lost', true);
  need(api.probeMapType(MAP.sockHash, null) === 1, 'sock hash maps', '4.18', 'plain text cannot be redirected', true);
  need(api.probeMapType(MAP.ringBuffer, null) === 1, 'ring buffers', '5.8', 'refusals are not reported', true);
  need(
    api.probeHelper(PROGRAM.sockOps, HELPER.netnsCookie, null) === 1,
    'namespace cookies in sock_ops',
    '5.15',
    'workloads cannot be told apart',
    true,
  );
  need(hasSetRetval(), 'bpf_set_retval', '5.18', 'a refused connect() fails with EPERM instead of ECONNREFUSED', false);
  return missing;
}

/** Whether eBPF can choose the errno of a refused connect(). */
export function hasSetRetval(): boolean {
  return libbpf().probeHelper(PROGRAM.cgroupSockAddr, HELPER.setRetval, null) === 1;
}
