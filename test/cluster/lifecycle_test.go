// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package cluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/operator"
)

// TestLifecycle takes a cluster through up, up again, kill -9 of everything, up, and down, beside whatever other
// cluster runs on this machine.
func TestLifecycle(t *testing.T) {
	log.SetLogger(logr.Discard())
	before := traces(t)
	root, err := operator.Root()
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Dir: t.TempDir(), Root: root, Log: t.Logf}
	c := up(t, opts)
	t.Cleanup(func() {
		if err := c.Down(); err != nil {
			t.Error(err)
		}
	})
	runs(t, c, "before")

	first := c.Status()
	c = up(t, opts)
	if again := c.Status(); !slices.Equal(first, again) {
		t.Errorf("a second up replaced processes: %v, first %v", again, first)
	}

	killAll(t, c)
	if c.Running() {
		t.Error("a killed cluster counts as running")
	}
	c = up(t, opts)
	runs(t, c, "after")

	pids, err := c.members()
	if err != nil || len(pids) < len(daemons()) {
		t.Fatalf("members are %v (%v)", pids, err)
	}
	if err := c.Down(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if daemon.Running(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
	if after := traces(t); !slices.Equal(before, after) {
		t.Errorf("the machine had\n%s\nand has now\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if left, err := os.ReadDir(opts.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func up(t *testing.T, opts Options) *Cluster {
	t.Helper()
	began := time.Now()
	c, err := Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up after %.1f s", time.Since(began).Seconds())
	return c
}

// runs has a pod run to its end.
func runs(t *testing.T, c *Cluster, name string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	pods := client.CoreV1().Pods(metav1.NamespaceDefault)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			// The pause image ends when it is told to.
			ActiveDeadlineSeconds: ptr.To[int64](60),
			Containers:            []corev1.Container{{Name: "pause", Image: pauseImage}},
		},
	}
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := wait.PollUntilContextTimeout(t.Context(), readyPoll, time.Minute, true, func(ctx context.Context) (bool, error) {
		pod, err = pods.Get(ctx, name, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning, err
	}); err != nil {
		t.Fatalf("%v; the pod is %+v", err, pod.Status)
	}
}

// killAll ends every process of the cluster as kill -9 does.
func killAll(t *testing.T, c *Cluster) {
	t.Helper()
	for _, name := range daemons() {
		if err := c.daemons[name].Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.stopPlane(); err != nil {
		t.Fatal(err)
	}
	if err := c.killMembers(); err != nil {
		t.Fatal(err)
	}
}

// traces are what a cluster may leave on a machine: mounts, interfaces, cgroups and folders.
func traces(t *testing.T) []string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Split(strings.TrimSpace(string(mounts)), "\n")
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		found = append(found, "interface "+i.Name)
	}
	for _, pattern := range append(folders(), cgroupRoot+"/*/fairlead*", cgroupRoot+"/fairlead*", "/run/netns/*") {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, paths...)
	}
	slices.Sort(found)
	return found
}
