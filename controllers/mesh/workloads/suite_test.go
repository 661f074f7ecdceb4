// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/controllers/mesh/workloads"
	"github.com/fairlead/fairlead/test/controlplane"
)

// soon is how long a test waits for what should take milliseconds; the machine may be busy.
const soon = 60 * time.Second

var cluster = testutil.Cluster{Options: controlplane.Options{ControllerManager: true}}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(cluster.Run(m))
}

// world is a cache with a namespace for a test, and what it does.
type world struct {
	*testing.T
	*workloads.Cache
	// admin is another client than that of the cache.
	admin     client.Client
	namespace string
	requests  *testutil.Requests
	faults    *testutil.Faults
	stop      func() error

	mu   sync.Mutex
	told map[workloads.Change]int
}

func start(t *testing.T) *world {
	t.Helper()
	cfg := cluster.Config(t)
	w := &world{T: t, namespace: testutil.Namespace(t, cfg, "workloads"), requests: &testutil.Requests{}, faults: &testutil.Faults{}, told: map[workloads.Change]int{}}
	var err error
	if w.admin, err = client.New(cluster.Config(t), client.Options{Scheme: scheme.Scheme}); err != nil {
		t.Fatal(err)
	}
	cfg.Wrap(w.faults.Wrap)
	cfg.Wrap(w.requests.Wrap)
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{Scheme: scheme.Scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	w.Cache, err = workloads.New(mgr, func(change workloads.Change) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told[change]++
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go testutil.Track(ctx, t.Name(), func(ctx context.Context) { done <- mgr.Start(ctx) })
	w.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// must fails the test if something did not work.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// create makes an object, a pod as soon as its service account is there.
func (w *world) create(object client.Object) {
	w.Helper()
	object.SetNamespace(w.namespace)
	testutil.Eventually(w.T, soon, "create "+object.GetName(), func() (bool, string) {
		err := w.admin.Create(w.Context(), object)
		if err != nil && !apierrors.IsForbidden(err) {
			w.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// edit changes an object as often as it takes.
func edit[T client.Object](w *world, object T, change func(T)) {
	w.Helper()
	testutil.Eventually(w.T, soon, "edit "+object.GetName(), func() (bool, string) {
		w.must(w.admin.Get(w.Context(), client.ObjectKeyFromObject(object), object))
		change(object)
		err := w.admin.Update(w.Context(), object)
		if err != nil && !apierrors.IsConflict(err) {
			w.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// kubelet makes all pods of the namespace run and be ready.
func (w *world) kubelet() {
	w.Helper()
	var pods corev1.PodList
	w.must(w.admin.List(w.Context(), &pods, client.InNamespace(w.namespace)))
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodPending {
			w.set(p, corev1.PodRunning, corev1.ConditionTrue)
		}
	}
}

// set writes how a pod is; one that is gone meanwhile is gone.
func (w *world) set(p *corev1.Pod, phase corev1.PodPhase, ready corev1.ConditionStatus) {
	w.Helper()
	before := p.DeepCopy()
	p.Status.Phase = phase
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	w.must(client.IgnoreNotFound(w.admin.Status().Patch(w.Context(), p, client.MergeFrom(before))))
}

// until waits for the workloads to be as wanted, while the kubelet works.
func (w *world) until(what string, ok func(map[string]rollout.Workload) bool) map[string]rollout.Workload {
	w.Helper()
	var found map[string]rollout.Workload
	testutil.Eventually(w.T, soon, what, func() (bool, string) {
		w.kubelet()
		found = w.now()
		return ok(found), fmt.Sprintf("%+v", found)
	})
	return found
}

// now gives the workloads by Kind/name.
func (w *world) now() map[string]rollout.Workload {
	w.Helper()
	list, err := w.Namespace(w.Context(), w.namespace)
	w.must(err)
	out := map[string]rollout.Workload{}
	for _, workload := range list {
		out[workload.Kind+"/"+workload.Name] = workload
	}
	return out
}

// healthy is that a workload is rolled out, with so many pods that have such a proxy.
func healthy(name string, pods int, proxy rollout.Proxy) func(map[string]rollout.Workload) bool {
	return func(all map[string]rollout.Workload) bool {
		w := all[name]
		return w.RolledOut && w.Ready == pods && w.Replicas == pods && w.Proxies[proxy] == pods
	}
}

// writes are the requests that changed something, or tried to.
func (w *world) writes() []string {
	var out []string
	for _, r := range w.requests.Select(testutil.Request.Write) {
		out = append(out, fmt.Sprintf("%s %s %d", r.Method, strings.TrimPrefix(r.Path, "/apis/apps/v1/namespaces/"+w.namespace+"/"), r.Code))
	}
	return out
}

// lists are the kinds that were asked for, sorted.
func (w *world) lists() []string {
	var out []string
	for _, r := range w.requests.Select(func(r testutil.Request) bool { return r.Initial }) {
		out = append(out, r.Path[strings.LastIndex(r.Path, "/")+1:])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// template makes pods that look as if istiod had given them a proxy of a version.
func template(app, version string) corev1.PodTemplateSpec {
	out := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:1"}}},
	}
	if version != "" {
		out.Annotations = map[string]string{"sidecar.istio.io/status": `{"revision":"main"}`, "istio.io/rev": "main"}
		out.Spec.Containers = append(out.Spec.Containers, corev1.Container{Name: "istio-proxy", Image: "istio/proxyv2:" + version})
	}
	return out
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func (w *world) deployment(name string, replicas int32) *appsv1.Deployment {
	w.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector(name), Template: template(name, "1.30.4")}}
	w.create(d)
	return d
}

func (w *world) pod(name, version string, labels map[string]string) *corev1.Pod {
	w.Helper()
	made := template(name, version)
	made.Name, made.Labels = name, labels
	p := &corev1.Pod{ObjectMeta: made.ObjectMeta, Spec: made.Spec}
	w.create(p)
	return p
}
