/** A step of a path that is a pod's: cgroupfs has `pod<uid>`, systemd `kubepods-burstable-pod<uid>.slice` with `_` for `-`. */
const POD_STEP =
  /^(?:kubepods(?:-burstable|-besteffort)?-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?::|$)/;
/** Nearer to the root than a pod's step there is one of these: a container could name a cgroup of its own as it likes. */
const PODS_STEP = /^(?:kubelet-)?kubepods(?:-burstable|-besteffort)?(?:\.slice)?$/;

/**
 * The uid of the pod whose cgroup a process is in; null: in no pod's. `text`: its /proc/<pid>/cgroup, of one hierarchy or of
 * several; those of a process of a node look like `0::/kubepods.slice/…` from the node, and begin with `/..` from within a container.
 * The outermost step counts: what is below it is the pod's own to name.
 */
export function podOfCgroup(text: string): string | null {
  for (const line of text.split('\n')) {
    const path = line.split(':').slice(2).join(':');
    const uid = podOfPath(path.split('/'));
    if (uid !== null) return uid;
  }
  return null;
}

function podOfPath(steps: readonly string[]): string | null {
  const pods = steps.findIndex((step) => PODS_STEP.test(step));
  if (pods < 0) return null;
  for (const step of steps.slice(pods + 1)) {
    const uid = POD_STEP.exec(step)?.[1];
    if (uid !== undefined) return plainUid(uid);
  }
  return null;
}

/** As the API server writes it; a static pod's has no dashes. */
function plainUid(uid: string): string {
  return uid.replaceAll('_', '-');
}
