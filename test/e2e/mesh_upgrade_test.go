// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/setup"
)

// restarting has members restarted, one namespace after the other.
func restarting(spec *v1alpha1.MeshSpec) {
	spec.Members.RestartWorkloads = true
	spec.Members.BatchSize = ptr.To(intstr.FromInt32(1))
	spec.Upgrade.ProgressDeadline = "3m"
}

// populated makes members with a workload each, all with proxies. The first one has a StatefulSet, too.
func populated(t *testing.T, m *v1alpha1.Mesh, number int) []string {
	t.Helper()
	runs(t, m, oldIstio)
	spaces := joined(t, m, number)
	for i, ns := range spaces {
		revisionOf(t, ns)
		workload(t, ns)
		if i == 0 {
			statefulSet(t, ns)
		}
	}
	allHave(t, m, spaces, oldIstio, patience)
	return spaces
}

// statefulSet is the echo server as one pod of a StatefulSet.
func statefulSet(t *testing.T, namespace string) {
	t.Helper()
	d := echo(namespace, "64Mi")
	d.Spec.Template.Spec.Containers[0].Resources.Requests = nil
	set := &appsv1.StatefulSet{ObjectMeta: d.ObjectMeta, Spec: appsv1.StatefulSetSpec{Selector: d.Spec.Selector, Template: d.Spec.Template, ServiceName: "echo"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "echo", "set": "yes"}}
	set.Spec.Template.Labels = set.Spec.Selector.MatchLabels
	if err := suite.client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
}

// allHave waits until all pods of the members are ready and have proxies of a version, and no other control plane is left.
func allHave(t *testing.T, m *v1alpha1.Mesh, spaces []string, version string, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		found, err := unlike(t.Context(), m, spaces, version)
		if err == nil && found == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: all proxies are of %s; %s %v; %s", within, version, found, err, story(m))
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(poll):
		}
	}
}

// unlike says what is not yet of a version; empty for nothing.
func unlike(ctx context.Context, m *v1alpha1.Mesh, spaces []string, version string) (string, error) {
	revision := m.Name + "-" + strings.ReplaceAll(version, ".", "-")
	for _, ns := range spaces {
		pods, err := podsOf(ctx, ns)
		if err != nil || len(pods) == 0 {
			return "no pods in " + ns, err
		}
		for i := range pods {
			got, image := proxyOf(&pods[i])
			if got != revision || image != "docker.io/istio/proxyv2:"+version || !podReady(&pods[i]) {
				return fmt.Sprintf("pod %s/%s has %q, %q, ready %v", ns, pods[i].Name, got, image, podReady(&pods[i])), nil
			}
		}
	}
	if err := suite.client.Get(ctx, client.ObjectKeyFromObject(m), m); err != nil {
		return "", err
	}
	r := m.Status.Revisions
	if m.Status.ObservedGeneration != m.Generation || !isReady(m) || m.Status.RunningVersion != version || len(r) != 1 || r[0].Name != revision {
		return "the status: " + story(m), nil
	}
	return "", nil
}

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// restarts is how often the workloads of a namespace were restarted at most: their templates are changed by nobody else.
func restarts(t *testing.T, namespace string) (out int) {
	t.Helper()
	deployments, sets := &appsv1.DeploymentList{}, &appsv1.StatefulSetList{}
	for _, list := range []client.ObjectList{deployments, sets} {
		if err := suite.client.List(t.Context(), list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range deployments.Items {
		// The generation counts annotations, too.
		templates, err := strconv.Atoi(deployments.Items[i].Annotations["deployment.kubernetes.io/revision"])
		if err != nil {
			t.Fatal(err)
		}
		out = max(out, templates-1)
	}
	for i := range sets.Items {
		out = max(out, int(sets.Items[i].Generation)-1)
	}
	return out
}

// witness looks on while a mesh moves, and notes what must not be.
type witness struct {
	m      *v1alpha1.Mesh
	spaces []string

	mu    sync.Mutex
	wrong map[string]int
	// both is how often both control planes were seen, moved the most namespaces that were seen on the way at a time.
	both, moving int
}

// watch begins; the function that it gives ends it.
func (w *witness) watch(t *testing.T) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w.wrong = map[string]int{}
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			w.look(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(poll):
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
		for what, times := range w.wrong {
			t.Errorf("seen %d times: %s", times, what)
		}
	}
}

func (w *witness) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong[what]++
}

// look checks that every namespace names a revision whose control plane is there, that pods get proxies all the time, and
// counts the namespaces that have proxies of two revisions, or pods that are not ready.
func (w *witness) look(ctx context.Context) {
	var moving []string
	for _, name := range w.spaces {
		ns := &corev1.Namespace{}
		if suite.client.Get(ctx, client.ObjectKey{Name: name}, ns) != nil {
			return
		}
		revision := ns.Labels[labelRevision]
		istiod := &appsv1.Deployment{}
		err := suite.client.Get(ctx, client.ObjectKey{Namespace: string(w.m.Spec.Namespace), Name: "istiod-" + revision}, istiod)
		if apierrors.IsNotFound(err) {
			// The label may have moved on between the two looks.
			again := &corev1.Namespace{}
			if suite.client.Get(ctx, client.ObjectKey{Name: name}, again) == nil && again.Labels[labelRevision] == revision {
				w.note("a member names a revision without a control plane: " + revision)
			}
		}
		if w.moves(ctx, name) {
			moving = append(moving, name)
		}
	}
	// One was looked at after the other: those moved at the same time that still do after the last look.
	if n := len(moving) - 1; n > 0 {
		last := moving[n]
		moving = append(slices.DeleteFunc(moving[:n], func(name string) bool { return !w.moves(ctx, name) }), last)
	}
	got, err := dryPod(ctx, w.spaces[len(w.spaces)-1])
	if ctx.Err() == nil && (err != nil || got == "") {
		w.note(fmt.Sprintf("a new pod of a member gets proxy %q: %v", got, err))
	}
	control := &appsv1.DeploymentList{}
	if suite.client.List(ctx, control, client.InNamespace(w.m.Spec.Namespace), client.MatchingLabels{labelMesh: w.m.Name}) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moving = max(w.moving, len(moving))
	if len(control.Items) == 2 {
		w.both++
	}
}

// moves reports whether a namespace is on the way: it has a pod that is not ready, or whose proxy is of another revision.
func (w *witness) moves(ctx context.Context, name string) bool {
	ns := &corev1.Namespace{}
	if suite.client.Get(ctx, client.ObjectKey{Name: name}, ns) != nil {
		return false
	}
	pods, err := podsOf(ctx, name)
	return err == nil && slices.ContainsFunc(pods, func(pod corev1.Pod) bool {
		got, _ := proxyOf(&pod)
		return got != ns.Labels[labelRevision] || !podReady(&pod)
	})
}

// TestMeshUpgrade moves members from one minor to the next: the new istiod comes beside the old one, namespaces move one by
// one, each workload restarts once, and new pods are injected all the time.
func TestMeshUpgrade(t *testing.T) {
	m := istio(t, name(t, "up"), "1.30", restarting)
	spaces := populated(t, m, 3)
	before := map[string]int{}
	for _, ns := range spaces {
		before[ns] = restarts(t, ns)
	}
	w := &witness{m: m.DeepCopy(), spaces: spaces}
	end := w.watch(t)
	began := time.Now()
	changeMesh(t, m, func(spec *v1alpha1.MeshSpec) { spec.Version = "1.31" })
	allHave(t, m, spaces, newIstio, upgradePatience)
	end()
	t.Logf("three members moved in %s; both control planes were seen %d times, %d namespaces on the way at a time", time.Since(began).Round(time.Second), w.both, w.moving)
	if w.both == 0 {
		t.Error("the new control plane was never beside the old one")
	}
	if w.moving > 1 {
		t.Errorf("%d namespaces moved at a time, of a batch of 1", w.moving)
	}
	for _, ns := range spaces {
		if n := restarts(t, ns) - before[ns]; n != 1 {
			t.Errorf("workloads of %s restarted %d times, not once", ns, n)
		}
	}
	if u := m.Status.Upgrade; u == nil || u.From != oldIstio || u.To != newIstio || u.Phase != v1alpha1.UpgradeComplete {
		t.Errorf("the status tells %+v", u)
	}
	noneOf(t, m, "1-30-4")
}

// noneOf waits until nothing is left whose name has a part.
func noneOf(t *testing.T, m *v1alpha1.Mesh, part string) {
	t.Helper()
	eventually(t, "nothing of revision "+part+" is left", func(ctx context.Context) (bool, string, error) {
		made, err := madeFor(ctx, m.Name)
		for name := range made {
			if strings.Contains(name, part) {
				return false, name, err
			}
		}
		return true, "", err
	})
}

// TestMeshRollsBack: a version whose image cannot be had goes again by itself, and the old one injects all the time. When
// the mistake is mended, the upgrade is tried once more.
func TestMeshRollsBack(t *testing.T) {
	m := istio(t, name(t, "back"), oldIstio, restarting, func(spec *v1alpha1.MeshSpec) { spec.Upgrade.ProgressDeadline = "1m" })
	spaces := populated(t, m, 2)
	before := restarts(t, spaces[0])
	w := &witness{m: m.DeepCopy(), spaces: spaces}
	end := w.watch(t)
	changeMesh(t, m, func(spec *v1alpha1.MeshSpec) {
		spec.Version, spec.Image = newIstio, &v1alpha1.MeshImage{Tag: "none"}
	})
	meshIs(t, m, "rolled back", func(m *v1alpha1.Mesh) bool {
		return reason(m, v1alpha1.ConditionStalled) == "True/"+v1alpha1.ReasonRolledBack && len(m.Status.Revisions) == 1
	})
	end()
	if w.both == 0 {
		t.Error("the new control plane was never tried")
	}
	if m.Status.RunningVersion != oldIstio || m.Status.Upgrade == nil || m.Status.Upgrade.Phase != v1alpha1.UpgradeRolledBack {
		t.Errorf("the status tells %s", story(m))
	}
	noneOf(t, m, "1-31-0")
	for _, ns := range spaces {
		if got := revisionOf(t, ns); got != m.Name+"-1-30-4" {
			t.Errorf("%s names revision %s", ns, got)
		}
	}
	if after := restarts(t, spaces[0]); after != before {
		t.Errorf("workloads restarted %d times for a version that never was", after-before)
	}
	changeMesh(t, m, func(spec *v1alpha1.MeshSpec) { spec.Image = nil })
	allHave(t, m, spaces, newIstio, upgradePatience)
}

// TestMeshOperatorKilled kills the operator at random points of an upgrade, both of its pods at once. It ends as if
// nothing had been.
func TestMeshOperatorKilled(t *testing.T) {
	const (
		kills       = 20
		longestTerm = 8 * time.Second
	)
	m := istio(t, name(t, "killed"), "1.30", restarting)
	spaces := populated(t, m, 6)
	before := map[string]int{}
	for _, ns := range spaces {
		before[ns] = restarts(t, ns)
	}
	w := &witness{m: m.DeepCopy(), spaces: spaces}
	end := w.watch(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	changeMesh(t, m, func(spec *v1alpha1.MeshSpec) { spec.Version = "1.31" })
	during := map[v1alpha1.UpgradePhase]int{}
	for range kills {
		leading := leader(t)
		// It works for a while, or hardly.
		select {
		case <-t.Context().Done():
		case <-time.After(time.Duration(random.Int64N(int64(longestTerm)))):
		}
		if err := suite.client.Get(t.Context(), client.ObjectKeyFromObject(m), m); err == nil && m.Status.Upgrade != nil {
			during[m.Status.Upgrade.Phase]++
		}
		killOperator(t, leading)
		eventually(t, "another operator leads", func(context.Context) (bool, string, error) {
			now := leader(t)
			return now != leading, now, nil
		})
	}
	t.Logf("seed %d; killed in phases %v", seed, during)
	allHave(t, m, spaces, newIstio, upgradePatience)
	end()
	for _, ns := range spaces {
		if n := restarts(t, ns) - before[ns]; n != 1 {
			t.Errorf("workloads of %s restarted %d times, not once", ns, n)
		}
	}
	if w.moving > 1 {
		t.Errorf("%d namespaces moved at a time, of a batch of 1", w.moving)
	}
	if during[v1alpha1.UpgradeMoving]+during[v1alpha1.UpgradeInstalling] < kills/4 {
		t.Errorf("the upgrade was over too soon: killed in %v", during)
	}
	noneOf(t, m, "1-30-4")
	operatorPods(t)
}

// killOperator ends all pods of the operator without a word. It frees the lease that they cannot give back, for which the
// next ones would only wait.
func killOperator(t *testing.T, leading string) {
	t.Helper()
	pod, _, _ := strings.Cut(leading, "_")
	for _, found := range runningOperators(t) {
		// One that is starting may have no container yet; the leader has.
		if err := suite.node.KillContainers(string(found.UID)); err != nil && found.Name == pod {
			t.Fatal(err)
		}
		err := suite.plain.CoreV1().Pods(operatorNamespace).Delete(t.Context(), found.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
	err := suite.plain.CoordinationV1().Leases(operatorNamespace).Delete(t.Context(), setup.LeaseName, metav1.DeleteOptions{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

// runningOperators are the pods of the operator whose containers run.
func runningOperators(t *testing.T) []corev1.Pod {
	t.Helper()
	pods := &corev1.PodList{}
	err := suite.client.List(t.Context(), pods, client.InNamespace(operatorNamespace), client.MatchingLabels{"control-plane": "controller-manager"})
	if err != nil {
		t.Fatal(err)
	}
	var out []corev1.Pod
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil && pods.Items[i].Status.Phase == corev1.PodRunning {
			out = append(out, pods.Items[i])
		}
	}
	return out
}
