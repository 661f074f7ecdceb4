// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/model"
	real "github.com/fairlead/fairlead/test/haproxy"
	"github.com/fairlead/fairlead/test/operator"
)

// mostMemory is what an agent of 200 pools with 2,000 members may hold, in KiB, beside the pages of its program.
const mostMemory = 40 << 10

// TestMemory has the program itself drive 2,000 members.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles the operator")
	}
	r := newReplica(t, real.Versions(t)[1])
	r.stop()
	root, err := operator.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "fairlead")
	if err := operator.Build(t.Context(), root, binary); err != nil {
		t.Fatal(err)
	}
	cfg := r.config(1)
	template := cfg.Pools[0]
	for i := range 200 {
		pool := template
		pool.Name = fmt.Sprintf("p%d", i)
		service := fmt.Sprintf("s%d", i)
		pool.Members = []model.Member{{Service: &model.ServiceRef{Namespace: r.namespace, Name: service, PortName: "http"}, Weight: 1}}
		cfg.Pools = append(cfg.Pools, pool)
		route := cfg.Routes[0]
		route.Name, route.Hostnames = pool.Name, []string{pool.Name + ".test"}
		route.Action.Pools = []model.WeightedPool{{Pool: pool.Name, Weight: 1}}
		cfg.Routes = append(cfg.Routes, route)
		object := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(8080))}},
		}
		for n := range 10 {
			object.Endpoints = append(object.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("198.51.%d.%d", i, n)}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
		}
		if _, err := r.admin.DiscoveryV1().EndpointSlices(r.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r.set(cfg)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "a", Contexts: map[string]*clientcmdapi.Context{"a": {Cluster: "a", AuthInfo: "a"}},
		Clusters:  map[string]*clientcmdapi.Cluster{"a": {Server: r.account.Host, CertificateAuthorityData: r.account.CAData, CertificateAuthority: r.account.CAFile}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"a": {Token: r.account.BearerToken}},
	}, kubeconfig); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "agent", "--kubeconfig="+kubeconfig, "--dir="+r.options.dir, "--load-balancer=front",
		"--bind-address="+r.options.address, "--threads=1", fmt.Sprint("--haproxy-port=", r.options.healthPort), fmt.Sprint("--peers-port=", r.options.peersPort))
	cmd.Env = append(os.Environ(), "POD_NAMESPACE="+r.namespace, "POD_NAME=front-lb-1", "GOMEMLIMIT=", "GOGC=")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r.ready(200)
	r.eventually("HAProxy has all members", func() error {
		if n := r.metric(`fairlead_agent_members{pool="p199",state="up"}`); n != "10" {
			return fmt.Errorf("%q", n)
		}
		return nil
	})
	// Some comparisons with the live state, and changes.
	r.endpoints("web", 1)
	r.serving(1)
	time.Sleep(5 * time.Second)
	resident, program := memory(t, cmd.Process.Pid, "RssAnon:"), memory(t, cmd.Process.Pid, "RssFile:")
	t.Logf("%d KiB, and %d KiB of the program's own file", resident, program)
	if resident > mostMemory {
		t.Errorf("%d KiB resident, at most %d are right", resident, mostMemory)
	}
}

// memory reads a line of the process's status, in KiB.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}
