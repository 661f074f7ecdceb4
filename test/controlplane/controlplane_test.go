// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/fairlead/fairlead/test/daemon"
)

// envHelper makes the test binary start a control plane and wait to be killed.
const envHelper = "FAIRLEAD_TEST_CONTROLPLANE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envHelper); dir != "" {
		helper(dir)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, opts Options) *ControlPlane {
	t.Helper()
	opts.Log = t.Logf
	cp, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cp
}

func namespaces(t *testing.T, cp *ControlPlane) corev1client.NamespaceInterface {
	t.Helper()
	client, err := corev1client.NewForConfig(cp.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client.Namespaces()
}

func create(t *testing.T, cp *ControlPlane, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := namespaces(t, cp).Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func mustExist(t *testing.T, cp *ControlPlane, name string) {
	t.Helper()
	if _, err := namespaces(t, cp).Get(t.Context(), name, metav1.GetOptions{}); err != nil {
		t.Errorf("namespace %s: %v", name, err)
	}
}

func pids(cp *ControlPlane) map[Component]int {
	all := map[Component]int{}
	for _, s := range cp.Status() {
		all[Component(s.Name)] = s.PID
	}
	return all
}

func TestRestartKeepsData(t *testing.T) {
	cp := start(t, Options{ControllerManager: true})
	host := cp.Config().Host
	for _, c := range cp.wanted() {
		create(t, cp, "before-"+string(c))
		before := pids(cp)[c]
		if err := cp.Kill(c); err != nil {
			t.Fatal(err)
		}
		if pid := pids(cp)[c]; pid != 0 {
			t.Errorf("%s still runs as %d", c, pid)
		}
		if err := cp.Restart(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if after := pids(cp)[c]; after == 0 || after == before {
			t.Errorf("%s: pid %d after a restart, %d before", c, after, before)
		}
		mustExist(t, cp, "before-"+string(c))
	}
	if cp.Config().Host != host {
		t.Errorf("the address moved from %s to %s", host, cp.Config().Host)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	cp := start(t, Options{})
	before := pids(cp)
	if err := cp.Stop(); err != nil {
		t.Fatal(err)
	}
	for c, pid := range before {
		if pid != 0 && daemon.Running(pid) {
			t.Errorf("%s (pid %d) still runs", c, pid)
		}
	}
	if _, err := os.Stat(cp.opts.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
	if err := cp.RestartAPIServer(t.Context()); err == nil {
		t.Error("a stopped control plane restarted")
	}
}

func TestDetachedHeals(t *testing.T) {
	opts := Options{Dir: t.TempDir(), ControllerManager: true, Detached: true}
	cp := start(t, opts)
	create(t, cp, "kept")
	first := pids(cp)

	again := start(t, opts)
	if second := pids(again); second[Etcd] != first[Etcd] || second[APIServer] != first[APIServer] ||
		second[ControllerManager] != first[ControllerManager] {
		t.Errorf("a second start replaced processes: %v, first %v", second, first)
	}

	for _, c := range []Component{Etcd, APIServer} {
		if err := again.Kill(c); err != nil {
			t.Fatal(err)
		}
	}
	healed := start(t, opts)
	mustExist(t, healed, "kept")

	opened, err := Open(opts.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pids(opened), pids(healed); got[Etcd] != want[Etcd] || got[APIServer] == 0 {
		t.Errorf("opened control plane has %v, want %v", got, want)
	}
	if err := opened.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(opts.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFailureShowsTheLog(t *testing.T) {
	_, err := Start(t.Context(), Options{APIServerArgs: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("got %v, want the API server's own words", err)
	}
}

// TestKilledParentLeavesNothing kills a process that runs a control plane, as a test runner's timeout does.
func TestKilledParentLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), envHelper+"="+dir)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Wait() }()
	defer func() { _ = parent.Process.Kill() }()
	children := waitForPIDs(t, filepath.Join(dir, "pids"))
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for c, pid := range children {
		gone := func(context.Context) (bool, error) { return !daemon.Running(pid), nil }
		if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, gone); err != nil {
			t.Errorf("%s (pid %d) outlived its parent", c, pid)
		}
	}
}

func helper(dir string) {
	cp, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	running := pids(cp)
	if err := daemon.WriteJSON(filepath.Join(dir, "pids"), running); err != nil {
		panic(err)
	}
	select {}
}

func waitForPIDs(t *testing.T, path string) map[Component]int {
	t.Helper()
	var found map[Component]int
	written := func(context.Context) (bool, error) {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, errors.Join(err, json.Unmarshal(data, &found))
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, startTimeout, true, written); err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 {
		t.Fatalf("the helper started %v", found)
	}
	return found
}
