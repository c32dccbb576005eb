/** What a capability of Linux means for a workload. */
export type Capability = {
  /** Whether a workload has it without being given it. */
  kept: boolean;
  /** Whether who holds it can leave the mesh, or take the node, whatever else stands in the way. */
  leaves: boolean;
  /** Kept: what needs it, and why it opens nothing. Else: what it would allow an attacker. */
  why: string;
};

/** Every capability of the kernel, in its order (capabilities(7)); docs/capabilities.md is made from this table. */
export const CAPABILITIES = {
  CHOWN: kept('Servers hand their files to the user they run as. Reaches no file that root could not write anyway.'),
  DAC_OVERRIDE: kept('Root is used to writing any file. Masks and read-only mounts hold regardless; `--user` takes it away.'),
  DAC_READ_SEARCH: leaves('Opens files by handle (`open_by_handle_at`), also those under a mask: the key of the authority.'),
  FOWNER: kept('Servers change the mode of files they do not own. The same reach as CHOWN.'),
  FSETID: kept('Keeps the set-group-id bit of files written. Such bits give nothing inside: no_new_privs.'),
  KILL: kept('A server started as root ends its workers of another user. Only processes of the workload are in sight.'),
  SETGID: kept('Servers start as root and become another user. No process of that user is in sight.'),
  SETUID: kept('As SETGID.'),
  SETPCAP: opens(
    'Changes bounding set and securebits: nothing beyond what the workload has. Left out, as servers do not need it.',
  ),
  LINUX_IMMUTABLE: opens('Makes files of the machine immutable, so that their owner cannot change them.'),
  NET_BIND_SERVICE: kept('Serves port 80 and the like, in a namespace of its own. Also given to a `--user` who is not root.'),
  NET_BROADCAST: opens('Unused by the kernel.'),
  NET_ADMIN: opens(
    "Changes addresses, routes and filters of its own namespace. The guard on the host's side of the link holds: it still sends as itself only.",
  ),
  NET_RAW: opens(
    'Packets of its own making, and sees those of its own namespace. The guard on the link holds: none reaches a mesh address elsewhere.',
  ),
  IPC_LOCK: opens('Locks memory beyond its limit: can starve the machine.'),
  IPC_OWNER: opens('Reads System V shared memory of programs outside.'),
  SYS_MODULE: leaves('Loads a kernel module: is the machine.'),
  SYS_RAWIO: leaves('Reaches memory and ports of the machine; with a device file, every disk.'),
  SYS_CHROOT: kept('Servers such as haproxy and sshd lock themselves up. A root below a mask cannot be named.'),
  SYS_PTRACE: opens('Traces processes in sight, which are its own: other ones lie in other process namespaces.'),
  SYS_PACCT: opens('Writes accounts of all processes to a file.'),
  SYS_ADMIN: leaves('Takes masks away, mounts cgroups and bpf file systems, enters other namespaces: is outside.'),
  SYS_BOOT: leaves('Boots the machine, or another kernel.'),
  SYS_NICE: opens('Takes the processors before others.'),
  SYS_RESOURCE: opens('Goes beyond limits of descriptors, processes and disk: can starve the machine.'),
  SYS_TIME: leaves("Sets the machine's clock: certificates that have ended are valid again."),
  SYS_TTY_CONFIG: opens('Hangs up terminals.'),
  MKNOD: leaves('Makes device files: the disk with the key of the authority on it.'),
  LEASE: opens('Is told of others that open files, and delays them.'),
  AUDIT_WRITE: opens("Writes lines into the machine's audit log. su and its like work without."),
  AUDIT_CONTROL: opens('Turns auditing off.'),
  SETFCAP: leaves('Gives a program of the machine capabilities, for an accomplice outside to run.'),
  MAC_OVERRIDE: leaves('Passes over Smack.'),
  MAC_ADMIN: leaves('Changes the rules of Smack.'),
  SYSLOG: opens("Reads the kernel's log and its addresses."),
  WAKE_ALARM: opens('Wakes the machine.'),
  BLOCK_SUSPEND: opens('Keeps the machine awake.'),
  AUDIT_READ: opens('Reads the audit log.'),
  PERFMON: leaves('Reads memory of kernel and programs through tracing.'),
  BPF: opens(
    'Loads programs and maps of its own. Maps of the mesh stay shut: by number they need SYS_ADMIN, by name they are out of sight.',
  ),
  CHECKPOINT_RESTORE: opens('Chooses process ids, and reads links of `/proc` of processes in sight.'),
} as const satisfies Record<string, Capability>;

/** The name of a capability, without `CAP_`. */
export type CapabilityName = keyof typeof CAPABILITIES;

/** Those a workload has unless it is given more. */
export const KEPT: readonly CapabilityName[] = names().filter((name) => CAPABILITIES[name].kept);

/** `NET_RAW` for `net_raw` or `CAP_NET_RAW`; null for what is no capability. */
export function readCapability(text: string): CapabilityName | null {
  const wanted = text.toUpperCase().replace(/^CAP_/, '');
  return names().find((name) => name === wanted) ?? null;
}

function names(): CapabilityName[] {
  return Object.keys(CAPABILITIES) as CapabilityName[];
}

function kept(why: string): Capability {
  return { kept: true, leaves: false, why };
}

function opens(why: string): Capability {
  return { kept: false, leaves: false, why };
}

function leaves(why: string): Capability {
  return { kept: false, leaves: true, why };
}
