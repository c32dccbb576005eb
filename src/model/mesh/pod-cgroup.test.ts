import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podOfCgroup } from './pod-cgroup.ts';

const UID = '0a1b2c3d-1111-2222-3333-445566778899';
const SYSTEMD = UID.replaceAll('-', '_');
const STATIC = '0123456789abcdef0123456789abcdef';
const ID = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const found: { name: string; text: string; uid?: string }[] = [
  { name: 'cgroupfs, guaranteed', text: `0::/kubepods/pod${UID}/${ID}` },
  { name: 'cgroupfs, burstable', text: `0::/kubepods/burstable/pod${UID}/${ID}` },
  { name: 'cgroupfs, best effort, hybrid', text: `12:memory:/kubepods/besteffort/pod${UID}/${ID}\n1:name=systemd:/x\n0::/` },
  { name: 'systemd, guaranteed', text: `0::/kubepods.slice/kubepods-pod${SYSTEMD}.slice/cri-containerd-${ID}.scope` },
  {
    name: 'systemd, burstable, CRI-O',
    text: `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${SYSTEMD}.slice/crio-${ID}.scope`,
  },
  {
    name: 'an older containerd with systemd',
    text: `9:cpu:/system.slice/containerd.service/kubepods-besteffort-pod${SYSTEMD}.slice:cri-containerd:${ID}\n5:pids:/kubepods/besteffort/pod${UID}/x`,
  },
  { name: 'a node in a container', text: `0::/docker/${ID}/kubepods/burstable/pod${UID}/${ID}` },
  {
    name: 'kind',
    text: `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubepods-burstable-pod${SYSTEMD}.slice/x.scope`,
  },
  { name: 'from within a container', text: `0::/../../kubepods/besteffort/pod${UID}/${ID}` },
  { name: 'a static pod', text: `0::/kubepods/burstable/pod${STATIC}/${ID}`, uid: STATIC },
  { name: 'the outermost counts', text: `0::/kubepods/pod${UID}/${ID}/kubepods/pod${STATIC}/x` },
  { name: 'a hierarchy with a colon in its path', text: `0::/kubepods/pod${UID}/a:b` },
];
for (const { name, text, uid = UID } of found) {
  test(`cgroup of a pod: ${name}`, () => assert.equal(podOfCgroup(text), uid));
}

const none: { name: string; text: string }[] = [
  { name: 'a process of the node', text: '0::/system.slice/kubelet.service' },
  { name: 'the root', text: '0::/' },
  { name: 'nothing', text: '' },
  { name: 'a name that only looks so', text: `0::/user.slice/pod${UID}` },
  { name: 'no uid', text: '0::/kubepods/burstable/podless/x' },
  { name: 'too long a uid', text: `0::/kubepods/pod${UID}00/x` },
];
for (const { name, text } of none) {
  test(`cgroup of no pod: ${name}`, () => assert.equal(podOfCgroup(text), null));
}
