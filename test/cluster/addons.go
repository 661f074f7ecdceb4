// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const readyPoll = 200 * time.Millisecond

//go:embed manifests/*.yaml
var manifests embed.FS

// installAddons applies what every cluster has: CoreDNS and metrics-server. Unlike kubectl it asks only for the groups
// that it needs: those of metrics-server itself answer late after a crash.
func (c *Cluster) installAddons(ctx context.Context) error {
	direct, err := client.New(c.Config(), client.Options{})
	if err != nil {
		return err
	}
	paths, err := fs.Glob(manifests, "manifests/*.yaml")
	if err != nil {
		return err
	}
	for _, path := range paths {
		text, err := manifests.ReadFile(path)
		if err != nil {
			return err
		}
		if err := applyAll(ctx, direct, text); err != nil {
			return fmt.Errorf("apply %s: %w", path, err)
		}
	}
	return nil
}

// applyAll applies all documents of a YAML file.
func applyAll(ctx context.Context, direct client.Client, text []byte) error {
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), len(text))
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := direct.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("fairlead-cluster"), client.ForceOwnership); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
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
		out, err := c.kubectl(ctx, args...)
		if err != nil {
			out = err.Error()
		}
		text.WriteString(out + "\n")
	}
	return text.String() + "logs are in " + c.path()
}

// Overview is what kubectl tells of the node and of the pods.
func (c *Cluster) Overview(ctx context.Context) (string, error) {
	return c.kubectl(ctx, "get", "nodes,pods", "-A", "-o", "wide")
}

func (c *Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	return run(ctx, filepath.Join(c.state.Assets, "kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig()}, args...)...)
}
