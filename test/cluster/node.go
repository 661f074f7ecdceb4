// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"text/template"

	"github.com/fairlead/fairlead/test/daemon"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	pauseImage       = "registry.k8s.io/pause:3.10"
	dnsAddress       = "10.96.0.10"
	clusterDomain    = "cluster.local"
)

// containerdConfig is of version 2, which containerd 1.6 to 2 read.
var containerdConfig = template.Must(template.New("containerd").Parse(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = {{printf "%q" .Socket}}
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {{printf "%q" .Pause}}
  # A machine without CAP_SYS_RESOURCE may not lower the score.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {{printf "%q" .Plugins}}
    conf_dir = {{printf "%q" .Networks}}
`))

func (c *Cluster) startContainerd(ctx context.Context) error {
	var config bytes.Buffer
	networks := c.path("cni")
	if err := containerdConfig.Execute(&config, map[string]string{
		"Socket": containerdSocket, "Pause": pauseImage, "Plugins": cniFolder(), "Networks": networks,
	}); err != nil {
		return err
	}
	if err := daemon.WriteFile(c.path("containerd.toml"), config.Bytes()); err != nil {
		return err
	}
	if err := os.MkdirAll(networks, 0o700); err != nil {
		return err
	}
	if err := writeConfig(filepath.Join(networks, "10-bridge.conflist"), bridge()); err != nil {
		return err
	}
	return c.ensure(ctx, Containerd, func(ctx context.Context) error {
		_, err := c.ctr(ctx, "version")
		return err
	}, append(c.Enter(), "containerd", "--config="+c.path("containerd.toml"))...)
}

// object is a config in the form of JSON, which is YAML as well.
type object map[string]any

func writeConfig(path string, config object) error {
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return daemon.WriteFile(path, data)
}

// bridge is the network of the pods.
func bridge() object {
	return object{
		"cniVersion": "1.0.0", "name": "fairlead",
		"plugins": []object{
			{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
				"ipam": object{
					"type": "host-local", "dataDir": "/var/lib/cni/networks",
					"ranges": [][]object{{{"subnet": nodeRange}}}, "routes": []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "snat": true, "capabilities": object{"portMappings": true}},
		},
	}
}

func (c *Cluster) startKubelet(ctx context.Context) error {
	if err := c.plane.WriteKubeconfig(c.path("kubelet.kubeconfig"), kubeletUser); err != nil {
		return err
	}
	// The machine's own may name a resolver at an address that is another one's here. Nothing outside is resolved.
	if err := daemon.WriteFile(c.path("resolv.conf"), []byte("nameserver "+dnsAddress+"\n")); err != nil {
		return err
	}
	if err := writeConfig(c.path("kubelet.yaml"), c.kubeletConfig()); err != nil {
		return err
	}
	return c.ensure(ctx, Kubelet, func(ctx context.Context) error { return c.healthy(ctx, kubeletHealthPort) },
		append(c.Enter(), filepath.Join(c.state.Assets, "kubelet"), "--config="+c.path("kubelet.yaml"),
			"--kubeconfig="+c.path("kubelet.kubeconfig"), "--hostname-override="+NodeName, "--node-ip="+c.nodeAddress())...)
}

func (c *Cluster) kubeletConfig() object {
	return object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication": object{
			"anonymous": object{"enabled": false}, "webhook": object{"enabled": true},
			"x509": object{"clientCAFile": keys(c.path("keys")).path("ca.crt")},
		},
		"authorization":            object{"mode": "Webhook"},
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"clusterDNS":               []string{dnsAddress},
		"clusterDomain":            clusterDomain,
		"resolvConf":               c.path("resolv.conf"),
		// The cluster has to start on machines of every kind, and under tests that fill them.
		"cgroupDriver": "cgroupfs", "cgroupRoot": c.cgroup(), "enforceNodeAllocatable": []string{},
		"failCgroupV1": false, "failSwapOn": false, "maxPods": 250,
		"evictionHard": object{
			"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%",
		},
		// No registry could give an image again.
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		// A crashed container of a test is not waited for by the default of five minutes.
		"crashLoopBackOff": object{"maxContainerRestartPeriod": "5s"},
	}
}

func (c *Cluster) startProxy(ctx context.Context) error {
	if err := c.plane.WriteKubeconfig(c.path("kube-proxy.kubeconfig"), proxyUser); err != nil {
		return err
	}
	if err := writeConfig(c.path("kube-proxy.yaml"), object{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"clientConnection": object{"kubeconfig": c.path("kube-proxy.kubeconfig")},
		"clusterCIDR":      podRange, "hostnameOverride": NodeName, "mode": "iptables",
		// Limits of the machine's connection tracking are the machine's own business.
		"conntrack": object{"maxPerCore": 0},
	}); err != nil {
		return err
	}
	return c.ensure(ctx, KubeProxy, func(ctx context.Context) error { return c.healthy(ctx, proxyHealthPort) },
		append(c.Enter(), filepath.Join(c.state.Assets, "kube-proxy"), "--config="+c.path("kube-proxy.yaml"))...)
}
