# shellcheck shell=bash
# The configuration files of a node's programs; sourced by node.sh, whose variables they use.

# Pods are joined by pairs of virtual devices and routes, without a bridge: as in kind.
write_cni_config() {
  mkdir -p /etc/cni/net.d
  cat >/etc/cni/net.d/10-testbed.conflist <<JSON
{
  "cniVersion": "1.0.0",
  "name": "testbed",
  "plugins": [
    {
      "type": "ptp",
      "mtu": 1500,
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": "$POD_CIDR"}]]
      }
    }
  ]
}
JSON
}

write_containerd_config() {
  mkdir -p /etc/containerd /opt/cni/bin
  cp "$PROGRAMS"/cni/{ptp,host-local,loopback} /opt/cni/bin/
  cat >/etc/containerd/config.toml <<'TOML'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/echo:1"
  # The hugetlb controller may be in no version 1 hierarchy.
  tolerate_missing_hugetlb_controller = true
  # Where this machine's root may not lower a process's OOM score (no CAP_SYS_RESOURCE), no pod would start without this.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
TOML
}

write_kubelet_config() {
  mkdir -p /etc/kubernetes
  cat >/etc/kubernetes/kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $PKI/$NODE.crt
tlsPrivateKeyFile: $PKI/$NODE.key
clusterDomain: cluster.local
# The address of dns.yaml; who asks it where that does not run hears nothing.
clusterDNS: [10.96.0.10]
resolvConf: /run/resolv.conf
failSwapOn: false
oomScoreAdj: 0
# The disk and the memory are shared with everything else on the machine: no pod is evicted, no image removed.
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
# As many as a node's range has addresses for.
maxPods: 250
# Pods come and go in tests: be quick about it.
syncFrequency: 10s
nodeStatusUpdateFrequency: 5s
shutdownGracePeriod: 0s
logging: {verbosity: 1}
YAML
  # Names outside the cluster are not resolved; kubelet wants a file all the same.
  echo "# no upstream" >/run/resolv.conf
}

write_kube_proxy_config() {
  cat >/etc/kubernetes/kube-proxy.yaml <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
clusterCIDR: $CLUSTER_CIDR
# The limits of connection tracking belong to the machine.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
YAML
}
