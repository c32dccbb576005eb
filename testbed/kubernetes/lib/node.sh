#!/usr/bin/env bash
# A node's first process, in new namespaces of all kinds but users. It makes the machine look like a node of its own, starts
# containerd, kubelet and kube-proxy, and then reaps what they leave. When it ends, the kernel ends all that runs in the node.
#
# From the environment: NODE, NODE_IP, POD_CIDR, CLUSTER_CIDR, PROGRAMS, PKI, DIR (a folder of this node's own).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/node-files.sh"

hostname "$NODE"

# Nothing that happens here is seen outside; below, pods may share mounts with the node (mountPropagation).
mount --make-rprivate /
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mount -t bpf bpf /sys/fs/bpf

# /etc, /var and /opt are the machine's, and what the node writes there goes to memory and ends with it.
mkdir -p "$DIR/writes" "$DIR/log"
mount -t tmpfs tmpfs "$DIR/writes"
for dir in etc var opt; do
  mkdir -p "$DIR/writes/$dir" "$DIR/writes/$dir.work"
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$DIR/writes/$dir,workdir=$DIR/writes/$dir.work" "/$dir"
done
# Images and volumes on the disk: an overlay cannot lie on an overlay.
for dir in containerd kubelet; do
  mkdir -p "$DIR/$dir" "/var/lib/$dir"
  mount --bind "$DIR/$dir" "/var/lib/$dir"
done

# The same cgroup hierarchies as the machine has, each seen from this node's own cgroup.
mount -t tmpfs tmpfs /sys/fs/cgroup
while IFS=: read -r _ controllers _; do
  name=${controllers#name=}
  mkdir -p "/sys/fs/cgroup/${name:-unified}"
  case $controllers in
    '') mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified ;;
    name=*) mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/$name" ;;
    *) mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$name" ;;
  esac
done </proc/self/cgroup

# kubelet insists on these values and would set them for the whole machine, since the kernel has them only once. It
# finds them already as it likes them, in files of ours that hide the real ones.
mkdir -p /run/sysctl
while read -r file value; do
  echo "$value" >"/run/sysctl/${file//\//.}"
  mount --bind "/run/sysctl/${file//\//.}" "/proc/sys/$file"
done <<'END'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END

mount --make-rshared /

sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.all.rp_filter=0
write_cni_config
write_containerd_config
write_kubelet_config
write_kube_proxy_config
# As a disk would have it when the node starts anew.
[ ! -f "$DIR/disk.tar" ] || tar -C / -xf "$DIR/disk.tar"
mkdir -p /var/log/pods /var/log/containers

# keep NAME COMMAND...: runs a program and starts it again when it ends, as a node's init would.
keep() {
  local name=$1
  shift
  while :; do
    "$@" >>"$DIR/log/$name.log" 2>&1 || echo "$name ended with $?" >>"$DIR/log/$name.log"
    sleep 1
  done
}

# Until the link to the other nodes is there.
until [ -n "$(ip -4 route show default)" ]; do sleep 0.02; done
export PATH=$PROGRAMS:$PATH
keep containerd containerd --config /etc/containerd/config.toml &
(
  until ctr version >/dev/null 2>&1; do sleep 0.1; done
  for image in "$PROGRAMS"/images/*.tar; do ctr --namespace k8s.io images import "$image"; done >"$DIR/log/images.log" 2>&1
) &
keep kubelet kubelet --config /etc/kubernetes/kubelet.yaml --kubeconfig "$PKI/$NODE.kubeconfig" \
  --hostname-override "$NODE" --node-ip "$NODE_IP" \
  --node-labels "topology.kubernetes.io/region=local,topology.kubernetes.io/zone=$NODE" &
keep kube-proxy kube-proxy --config /etc/kubernetes/kube-proxy.yaml --hostname-override "$NODE" &

# The shell reaps orphans whenever a child of its own ends.
while :; do
  sleep 5 &
  wait $! || true
done
