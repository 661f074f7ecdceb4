// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"path/filepath"
)

const (
	serviceRange = "10.96.0.0/12"
	// serviceAddress is that of the Service kubernetes: the first of the range.
	serviceAddress = "10.96.0.1"
)

// args returns the command line of a process. Every flag exists in all Kubernetes releases from 1.29 on.
func (cp *ControlPlane) args(c Component) []string {
	args := []string{filepath.Join(cp.opts.Assets, string(c))}
	switch c {
	case Etcd:
		return append(args, cp.etcdArgs()...)
	case APIServer:
		return append(append(args, cp.apiServerArgs()...), cp.opts.APIServerArgs...)
	case Scheduler:
		return append(args, cp.schedulerArgs()...)
	default:
		return append(append(args, cp.controllerManagerArgs()...), cp.opts.ControllerManagerArgs...)
	}
}

func (cp *ControlPlane) etcdArgs() []string {
	client := fmt.Sprintf("http://127.0.0.1:%d", cp.ports.Etcd)
	peer := fmt.Sprintf("http://127.0.0.1:%d", cp.ports.EtcdPeer)
	return []string{
		"--name=default",
		"--data-dir=" + cp.path("etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		// Nothing here has to survive a power failure, and fsync is most of the time of a write.
		"--unsafe-no-fsync",
		"--quota-backend-bytes=4294967296",
		"--log-level=warn",
	}
}

func (cp *ControlPlane) apiServerArgs() []string {
	return []string{
		fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", cp.ports.Etcd),
		"--bind-address=" + cp.opts.Address,
		fmt.Sprintf("--secure-port=%d", cp.ports.APIServer),
		"--advertise-address=" + cp.opts.Address,
		"--endpoint-reconciler-type=" + cp.endpointReconciler(),
		"--tls-cert-file=" + cp.path(servingCert),
		"--tls-private-key-file=" + cp.path(servingKey),
		"--token-auth-file=" + cp.path(tokenFile),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + cp.path(accountKey),
		"--service-account-signing-key-file=" + cp.path(accountKey),
		"--service-cluster-ip-range=" + serviceRange,
		"--allow-privileged=true",
		// A bench or a test writes with as many connections as it likes.
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1500",
	}
}

// endpointReconciler makes the endpoint of the Service kubernetes. It must not be a loopback address.
func (cp *ControlPlane) endpointReconciler() string {
	if cp.opts.Address == loopback {
		return "none"
	}
	return "lease"
}

func (cp *ControlPlane) controllerManagerArgs() []string {
	return append(cp.controllerArgs(cp.ports.ControllerManager),
		"--service-account-private-key-file="+cp.path(accountKey),
		"--root-ca-file="+cp.path(servingCert),
		// The default of 20 requests a second would need minutes for 5,000 namespaces.
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--concurrent-namespace-syncs=20",
		"--concurrent-resource-quota-syncs=10",
	)
}

func (cp *ControlPlane) schedulerArgs() []string {
	return append(cp.controllerArgs(cp.ports.Scheduler), "--kube-api-qps=1000", "--kube-api-burst=2000")
}

// controllerArgs are those of a client of the API server that serves its health at a port.
func (cp *ControlPlane) controllerArgs(port int) []string {
	return []string{
		"--kubeconfig=" + cp.Kubeconfig(),
		"--authentication-kubeconfig=" + cp.Kubeconfig(),
		"--authorization-kubeconfig=" + cp.Kubeconfig(),
		"--bind-address=" + loopback,
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + cp.path(servingCert),
		"--tls-private-key-file=" + cp.path(servingKey),
		"--leader-elect=false",
	}
}
