import { type SettingGroup, setting, valuesOf } from './setting.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;

/** Host: the rows of the table. */
export const HOST_SETTINGS = {
  about: { title: 'Host', text: 'Namespaces, cgroups and programs that Weft starts.' },
  rows: {
    addressesCachedMax: setting(
      4_096,
      'count',
      'IP addresses whose text and bytes a process remembers; then it forgets all and begins anew.',
    ),
    randomPoolBytes: setting(8 * KIB, 'bytes', 'Random bytes that are drawn at once, and given out as connections need them.'),
    commandMs: setting(30_000, 'ms', 'How long a program such as `ip` or `iptables` may take: it may wait for a lock of others.'),
    commandOutputBytesMax: setting(64 * MIB, 'bytes', 'Output of such a program: rules of a large node are some megabytes.'),
    namespaceSettleMs: setting(5_000, 'ms', 'How long a removed network namespace may stay listed.'),
    cgroupSettleMs: setting(1_000, 'ms', 'How long a cgroup may stay busy after its last process ended.'),
    commandForkMs: setting(
      1_000,
      'ms',
      'How long the first process of a workload may take to start the command that signals go to.',
    ),
    hiddenSocketsMax: setting(
      256,
      'count',
      'Sockets of the machine that are covered one by one for a workload; each costs a mount.',
    ),
    cgroupKillMs: setting(5_000, 'ms', 'How long killed processes may take to end.'),
    memoryLimitMinBytes: setting(
      6 * MIB,
      'bytes',
      'The least that `--memory` may say: a shell, and what confines a command before it runs, need so much themselves.',
    ),
    sandboxKeyCharactersMax: setting(200, 'characters', 'File names hold it with an ending, and may have 255 bytes.'),
    sandboxNodeCharactersMax: setting(
      32,
      'characters',
      "The node's part of that; longer names are cut and told apart by a hash.",
    ),
    bpfTriesMax: setting(
      1_000,
      'count',
      'How often a call to the kernel that a signal interrupted is made; one that is interrupted for ever ends as a failure.',
    ),
    verifierLogBytesMax: setting(MIB, 'bytes', "The kernel's log on a program that it refuses."),
    verifierWholeLogBytesMax: setting(
      16 * MIB,
      'bytes',
      'The same when WEFT_BPF_LOG asks for all of it; the longest program needs about half of that.',
    ),
  },
} as const satisfies SettingGroup;

/** Host: the numbers. */
export const HOST = valuesOf(HOST_SETTINGS);

/** Commands: the rows of the table. */
export const COMMAND_SETTINGS = {
  about: { title: 'Commands', text: 'How long the command line waits, and for what.' },
  rows: {
    lingerMs: setting(2_000, 'ms', 'How long open handles may keep a finished command alive.'),
    columnsMax: setting(120, 'characters', 'Width of help texts on wide terminals.'),
    answerBytesMax: setting(64 * MIB, 'bytes', 'One answer of a local socket: the status of a large mesh is some megabytes.'),
    runRestartFirstMs: setting(100, 'ms', 'Wait before `weft run --restart` starts a command again; it doubles.'),
    runRestartMaxMs: setting(30_000, 'ms', 'Longest such wait.'),
    runStableMs: setting(10_000, 'ms', 'A command that ran this long has recovered: its next end is its first.'),
    runLookMs: setting(
      500,
      'ms',
      'How often a command that waits to be started again is looked for: it may not be wanted any more.',
    ),
    runEndMs: setting(5_000, 'ms', 'How long `weft run` may take to end when what it ran has; then it is told to.'),
    logFollowMs: setting(200, 'ms', 'How often `weft logs -f` looks for more.'),
    logPieceCharactersMax: setting(
      16_384,
      'characters',
      'A longer line of a workload is kept in pieces, as container runtimes do.',
    ),
    envFileBytesMax: setting(MIB, 'bytes', 'A file of variables for a command.'),
    workloadFileBytesMax: setting(64 * KIB, 'bytes', 'The file of `weft run --file`: a person writes it.'),
    statusMs: setting(5_000, 'ms', 'Asking an agent or a control plane something that needs no work.'),
    editMs: setting(60_000, 'ms', 'Writing resources, which waits until they are in force.'),
    sandboxMs: setting(30_000, 'ms', 'Making a sandbox waits for the control plane to know the workload.'),
    stopMs: setting(25_000, 'ms', 'Ending waits for workloads to end by themselves, and removes what was made.'),
    uninstallAgentMs: setting(30_000, 'ms', 'An agent removes its sandboxes one after the other.'),
    uninstallControlMs: setting(10_000, 'ms', 'A control plane ends its waypoints.'),
    controlStartMs: setting(20_000, 'ms', 'Until the control plane of `weft up` is ready: it may make a root key first.'),
    agentStartMs: setting(30_000, 'ms', 'Until the agent of `weft up` is ready: the kernel verifies its programs first.'),
    controlStopMs: setting(10_000, 'ms', 'Until the control plane of `weft up` has ended; then it is killed.'),
    agentStopMs: setting(30_000, 'ms', 'The same for its agent, whose workloads may take a while to end.'),
    programPagesMs: setting(
      60_000,
      'ms',
      'How often it does so again: the kernel maps 64 KiB around each page that is used once. What is needed comes back in a millisecond.',
    ),
    startedMs: setting(
      3_000,
      'ms',
      'How long after its start a part gives back the memory of the program that only a start uses: some 50 MB of Node.js.',
    ),
    serviceStopMs: setting(20_000, 'ms', 'Until a part that got a stop signal is ended by force.'),
    ownTokenSeconds: setting(
      3 * 86_400,
      's',
      'The token that `weft up` gives its own agent, and makes anew well before its end.',
    ),
    ownTokenRenewMs: setting(12 * 3_600_000, 'ms', 'How often it does.'),
    progressMs: setting(1_000, 'ms', 'After that it is said on a terminal what takes so long, and from then on so often.'),
    watchMs: setting(1_000, 'ms', 'How often `weft ps --watch` looks.'),
    pollMs: setting(50, 'ms', 'How often it is looked whether a process has ended.'),
    startPollMs: setting(10, 'ms', 'How often it is looked whether a part that starts is ready: somebody waits for it.'),
  },
} as const satisfies SettingGroup;

/** Commands: the numbers. */
export const COMMAND = valuesOf(COMMAND_SETTINGS);
