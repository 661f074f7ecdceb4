// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

const readyPoll = 200 * time.Millisecond

//go:embed manifests/*.yaml
var manifests embed.FS

// installAddons applies what every cluster has: CoreDNS and metrics-server.
func (c *Cluster) installAddons(ctx context.Context) error {
	return fs.WalkDir(manifests, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := manifests.ReadFile(path)
		if err != nil {
			return err
		}
		if _, err := c.kubectl(ctx, string(text), "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
			return fmt.Errorf("apply %s: %w", path, err)
		}
		return nil
	})
}

// waitReady returns when a pod would run, find others by name and be measured. After a crash the API server still has
// the good news of before, so each is asked for anew.
func (c *Cluster) waitReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		return err
	}
	for _, condition := range []struct {
		what string
		met  func(context.Context) error
	}{
		{"the node is ready", func(ctx context.Context) error { return nodeReady(ctx, client) }},
		{"names resolve", c.resolves},
		{"metrics are served", func(ctx context.Context) error { return metricsServed(ctx, client) }},
	} {
		var last error
		if err := wait.PollUntilContextCancel(ctx, readyPoll, true, func(ctx context.Context) (bool, error) {
			last = condition.met(ctx)
			return last == nil, nil
		}); err != nil {
			return fmt.Errorf("waiting until %s: %w\n%s", condition.what, last, c.explain())
		}
	}
	return nil
}

func nodeReady(ctx context.Context, client kubernetes.Interface) error {
	node, err := client.CoreV1().Nodes().Get(ctx, NodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return errors.New(condition.Message)
		}
	}
	return nil
}

func (c *Cluster) resolves(ctx context.Context) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return c.Dial(ctx, network, dnsAddress+":53")
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+clusterDomain+".")
	return err
}

func metricsServed(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return client.CoreV1().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes", NodeName).Do(ctx).Error()
}

// explain gives what a person would look at next.
func (c *Cluster) explain() string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var text strings.Builder
	for _, args := range [][]string{
		{"get", "pods", "-A", "-o", "wide"},
		{"get", "events", "-A", "--field-selector=type=Warning", "-o", "custom-columns=OBJECT:.involvedObject.name,MESSAGE:.message"},
	} {
		out, err := c.kubectl(ctx, "", args...)
		if err != nil {
			out = err.Error()
		}
		text.WriteString(out + "\n")
	}
	return text.String() + "logs are in " + c.path()
}

// Overview is what kubectl tells of the node and of the pods.
func (c *Cluster) Overview(ctx context.Context) (string, error) {
	return c.kubectl(ctx, "", "get", "nodes,pods", "-A", "-o", "wide")
}

func (c *Cluster) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.state.Assets, "kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
