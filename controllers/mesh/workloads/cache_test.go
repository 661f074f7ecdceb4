// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/controllers/mesh/workloads"
)

var old = rollout.Proxy{Revision: "main", Version: "1.30.4"}

// TestLazy: nothing is asked of the API server before somebody asks the cache, and then only for what the question needs.
func TestLazy(t *testing.T) {
	w := start(t)
	w.pod("bare", "1.30.4", nil)
	if got := w.lists(); len(got) > 0 {
		t.Fatalf("asked for %v before anybody asked", got)
	}
	allowed, err := w.Budgets(t.Context())
	w.must(err)
	if got := w.lists(); !slices.Equal(got, []string{"poddisruptionbudgets"}) {
		t.Errorf("budgets %v by asking for %v", allowed, got)
	}
	proxies, err := w.Proxies(t.Context())
	w.must(err)
	if got := w.lists(); !slices.Equal(got, []string{"poddisruptionbudgets", "pods"}) {
		t.Errorf("proxies %v by asking for %v", proxies, got)
	}
	w.now()
	all := []string{"daemonsets", "deployments", "poddisruptionbudgets", "pods", "replicasets", "statefulsets"}
	if got := w.lists(); !slices.Equal(got, all) {
		t.Errorf("asked for %v, not %v", got, all)
	}
	if got := w.writes(); len(got) > 0 {
		t.Errorf("wrote %v", got)
	}
}

// TestForbidden: who may not read hears it, and does not wait for ever.
func TestForbidden(t *testing.T) {
	w := start(t)
	w.faults.Inject(1000, func(r testutil.Request) bool { return strings.HasSuffix(r.Path, "/pods") }, testutil.Answer(http.StatusForbidden, metav1.StatusReasonForbidden, 0))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := w.Proxies(ctx)
	if err == nil || !strings.Contains(err.Error(), "fill the cache of pods") || !strings.Contains(err.Error(), "injected") {
		t.Errorf("said %v", err)
	}
	// It goes on as soon as it may.
	w.faults.Clear()
	_, err = w.Proxies(t.Context())
	w.must(err)
}

// TestKinds: each kind is seen as its controller sees it, restarts when it is told to, and is not rolled out until all of
// its pods are new and ready.
func TestKinds(t *testing.T) {
	w := start(t)
	for _, name := range []string{"node-a", "node-b"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-" + name}}
		w.must(w.admin.Create(t.Context(), node))
		t.Cleanup(func() { w.must(w.admin.Delete(context.WithoutCancel(t.Context()), node)) })
	}
	w.deployment("web", 3)
	recreate := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "batch"}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(3)), Selector: selector("batch"), Template: template("batch", "1.30.4"), Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
	}}
	w.create(recreate)
	w.create(&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: appsv1.StatefulSetSpec{
		Replicas: new(int32(3)), Selector: selector("db"), Template: template("db", "1.30.4"),
	}})
	w.create(&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "log"}, Spec: appsv1.DaemonSetSpec{Selector: selector("log"), Template: template("log", "1.30.4")}})

	for name, want := range map[string]struct{ pods, disrupts int }{
		"Deployment/web": {3, 0}, "Deployment/batch": {3, 3}, "StatefulSet/db": {3, 1}, "DaemonSet/log": {2, 1},
	} {
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			kind, short, _ := strings.Cut(name, "/")
			before := w.until(name+" is healthy", healthy(name, want.pods, old))[name]
			if before.Disrupts != want.disrupts || before.Cause != "" || !before.RestartedAt.IsZero() || before.Untouchable != "" {
				t.Errorf("before: %+v", before)
			}
			first := w.podsOf(short)
			at := time.Now()
			done, err := w.Restart(t.Context(), rollout.Restart{Namespace: w.namespace, Kind: kind, Name: short, Cause: "main@1.31.0#1"}, at)
			if w.must(err); !done {
				t.Fatal("it did not restart")
			}
			now := w.now()[name]
			if now.RolledOut || now.Cause != "main@1.31.0#1" || !now.RestartedAt.Equal(at) {
				t.Errorf("right after its restart: %+v", now)
			}
			w.until(name+" is healthy again", healthy(name, want.pods, old))
			for _, pod := range w.podsOf(short) {
				if slices.Contains(first, pod) {
					t.Errorf("rolled out, and pod %s is from before", pod)
				}
			}
			w.writesFor(kind, short, 1)
			// Once more for the same cause is nothing.
			done, err = w.Restart(t.Context(), rollout.Restart{Namespace: w.namespace, Kind: kind, Name: short, Cause: "main@1.31.0#1"}, time.Now())
			if w.must(err); done {
				t.Error("it restarted twice for one cause")
			}
			w.writesFor(kind, short, 1)
		})
	}
}

// podsOf are the UIDs of the pods of an app that do not terminate.
func (w *world) podsOf(app string) []string {
	w.Helper()
	var pods corev1.PodList
	w.must(w.admin.List(w.Context(), &pods, client.InNamespace(w.namespace), client.MatchingLabels{"app": app}))
	var out []string
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			out = append(out, string(pods.Items[i].UID))
		}
	}
	return out
}

// writesFor checks how many writes of a workload the API server did. One that came too late for a status is tried again.
func (w *world) writesFor(kind, name string, want int) {
	w.Helper()
	n := 0
	for _, write := range w.writes() {
		if strings.HasSuffix(write, strings.ToLower(kind)+"s/"+name+" 200") {
			n++
		}
	}
	if n != want {
		w.Errorf("%s %s was written by %d requests, not %d: %v", kind, name, n, want, w.writes())
	}
}

// TestPods: finished pods are nobody, terminating ones are proxies and no part of a workload, and those that cannot have a
// proxy are not listed.
func TestPods(t *testing.T) {
	w := start(t)
	revision := w.namespace
	mine := func(p *corev1.Pod) {
		edit(w, p, func(p *corev1.Pod) {
			p.Annotations = map[string]string{"sidecar.istio.io/status": "{}", "istio.io/rev": revision}
		})
	}
	keeper := []string{"example.com/keeper"}
	stays, goes, ends := w.pod("stays", "1.30.4", nil), w.pod("goes", "1.30.4", nil), w.pod("ends", "1.30.4", nil)
	for _, p := range []*corev1.Pod{stays, goes, ends} {
		mine(p)
	}
	w.pod("off", "", map[string]string{"sidecar.istio.io/inject": "false"})
	w.pod("none", "", nil)
	w.pod("gateway", "1.30.4", map[string]string{"fleet.fairlead.io/mesh": "main"})
	edit(w, goes, func(p *corev1.Pod) { p.Finalizers = keeper })
	w.must(w.admin.Delete(t.Context(), goes))
	t.Cleanup(func() {
		w.must(client.IgnoreNotFound(w.admin.Patch(context.WithoutCancel(t.Context()), goes, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))))
	})
	w.create(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: batchv1.JobSpec{Template: func() corev1.PodTemplateSpec {
		out := template("once", "")
		out.Spec.RestartPolicy = corev1.RestartPolicyNever
		return out
	}()}})

	all := w.until("the Job has its pod", func(all map[string]rollout.Workload) bool { return all["Job/once"].Replicas == 1 })
	names := slices.Sorted(maps.Keys(all))
	if want := []string{"Job/once", "Pod/ends", "Pod/none", "Pod/stays"}; !slices.Equal(names, want) {
		t.Errorf("there are %v, not %v", names, want)
	}
	w.proxies(revision, 3)
	w.set(ends, corev1.PodSucceeded, corev1.ConditionFalse)
	w.proxies(revision, 2)
	testutil.Eventually(t, soon, "the finished pod is no workload", func() (bool, string) {
		_, there := w.now()["Pod/ends"]
		return !there, "it is one"
	})
	running, err := w.Running(t.Context(), func(r string) bool { return r == revision })
	if w.must(err); !slices.Equal(running, []string{w.namespace}) {
		t.Errorf("proxies run in %v", running)
	}
	w.must(w.admin.Delete(t.Context(), stays))
	edit(w, goes, func(p *corev1.Pod) { p.Finalizers = nil })
	w.proxies(revision, 0)
	running, err = w.Running(t.Context(), func(r string) bool { return r == revision })
	if w.must(err); len(running) > 0 {
		t.Errorf("proxies run in %v", running)
	}
}

// proxies waits until so many run of a revision.
func (w *world) proxies(revision string, want int) {
	w.Helper()
	testutil.Eventually(w.T, soon, fmt.Sprintf("%d proxies", want), func() (bool, string) {
		all, err := w.Proxies(w.Context())
		w.must(err)
		return all[revision] == want, fmt.Sprint(all)
	})
}

// TestBudgets: what a budget allows is what its controller says, and it is named by the workloads whose pods it selects.
func TestBudgets(t *testing.T) {
	w := start(t)
	w.deployment("web", 3)
	w.deployment("api", 1)
	w.create(&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector("web"), MinAvailable: new(intstr.FromInt(1))}})
	all := w.until("web is healthy", healthy("Deployment/web", 3, old))
	if got := all["Deployment/web"].Budgets; !slices.Equal(got, []string{w.namespace + "/web"}) {
		t.Errorf("web has the budgets %v", got)
	}
	if got := all["Deployment/api"].Budgets; len(got) > 0 {
		t.Errorf("api has the budgets %v", got)
	}
	testutil.Eventually(t, soon, "two disruptions are allowed", func() (bool, string) {
		allowed, err := w.Budgets(t.Context())
		w.must(err)
		return allowed[w.namespace+"/web"] == 2, fmt.Sprint(allowed)
	})
}

// TestInBetween: what happens to a workload between the look and the restart.
func TestInBetween(t *testing.T) {
	w := start(t)
	for name, tt := range map[string]struct {
		happens func(*appsv1.Deployment)
		want    bool
		// codes are those of the answers to the patches.
		codes []string
	}{
		"nothing":  {func(*appsv1.Deployment) {}, true, []string{"200"}},
		"a status": {func(d *appsv1.Deployment) { w.touch(d) }, true, []string{"409", "200"}},
		"a pause":  {func(d *appsv1.Deployment) { edit(w, d, func(d *appsv1.Deployment) { d.Spec.Paused = true }) }, false, []string{"409"}},
		"a word to us": {func(d *appsv1.Deployment) {
			edit(w, d, func(d *appsv1.Deployment) { d.Annotations["fleet.fairlead.io/paused"] = "true" })
		}, false, []string{"409"}},
		"the same restart": {func(d *appsv1.Deployment) {
			edit(w, d, func(d *appsv1.Deployment) { d.Spec.Template.Annotations[workloads.AnnotationCause] = "cause" })
		}, false, []string{"409"}},
		"another scale":       {func(d *appsv1.Deployment) { edit(w, d, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(2)) }) }, false, []string{"409"}},
		"the end":             {func(d *appsv1.Deployment) { w.must(w.admin.Delete(t.Context(), d)) }, false, []string{"404"}},
		"the end and another": {func(d *appsv1.Deployment) { w.must(w.admin.Delete(t.Context(), d)); w.deployment(d.Name, 1) }, false, []string{"409"}},
	} {
		t.Run(name, func(t *testing.T) {
			short := strings.ReplaceAll(name, " ", "-")
			d := w.deployment(short, 1)
			w.until("it is healthy", healthy("Deployment/"+short, 1, old))
			w.quiet(d)
			w.faults.Inject(1, func(r testutil.Request) bool { return r.Method == http.MethodPatch }, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
				tt.happens(d)
				return next.RoundTrip(req)
			})
			done, err := w.Restart(t.Context(), rollout.Restart{Namespace: w.namespace, Kind: "Deployment", Name: short, Cause: "cause"}, time.Now())
			if w.must(err); done != tt.want {
				t.Errorf("restarted: %v", done)
			}
			var codes []string
			for _, write := range w.writes() {
				if code, is := strings.CutPrefix(write, "PATCH deployments/"+short+" "); is {
					codes = append(codes, code)
				}
			}
			if !slices.Equal(codes, tt.codes) {
				t.Errorf("answered %v, not %v", codes, tt.codes)
			}
			got := &appsv1.Deployment{}
			if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(d), got); err == nil && (got.Annotations[workloads.AnnotationRestartedAt] != "") != tt.want {
				t.Errorf("its annotations are %v", got.Annotations)
			}
		})
	}
}

// quiet waits until the cache has the version of a Deployment that nobody is about to write.
func (w *world) quiet(d *appsv1.Deployment) {
	w.Helper()
	testutil.Eventually(w.T, soon, d.Name+" is at rest", func() (bool, string) {
		w.must(w.admin.Get(w.Context(), client.ObjectKeyFromObject(d), d))
		s := &d.Status
		return s.ObservedGeneration == d.Generation && s.AvailableReplicas == 1 && slices.ContainsFunc(s.Conditions, func(c appsv1.DeploymentCondition) bool {
			return c.Type == appsv1.DeploymentProgressing && c.Reason == "NewReplicaSetAvailable"
		}), fmt.Sprintf("%+v", d.Status)
	})
	testutil.Eventually(w.T, soon, "the cache has seen it", func() (bool, string) {
		version := w.Seen("Deployment", w.namespace+"/"+d.Name)
		return version == d.ResourceVersion, version + ", not " + d.ResourceVersion
	})
}

// touch writes the status of a Deployment, of which only the time differs.
func (w *world) touch(d *appsv1.Deployment) {
	w.Helper()
	before := d.DeepCopy()
	for i := range d.Status.Conditions {
		d.Status.Conditions[i].LastUpdateTime = metav1.NewTime(d.Status.Conditions[i].LastUpdateTime.Add(-time.Hour))
	}
	w.must(w.admin.Status().Patch(w.Context(), d, client.MergeFrom(before)))
}

// TestUnknown: what is not there, or is no workload, is not restarted.
func TestUnknown(t *testing.T) {
	w := start(t)
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "Job"} {
		done, err := w.Restart(t.Context(), rollout.Restart{Namespace: w.namespace, Kind: kind, Name: "nobody", Cause: "cause"}, time.Now())
		if w.must(err); done {
			t.Errorf("a %s that is not there restarted", kind)
		}
	}
	if got := w.writes(); len(got) > 0 {
		t.Errorf("wrote %v", got)
	}
}

// TestChanges: what counts is told, with the namespace and the revision; what does not count is not.
func TestChanges(t *testing.T) {
	w := start(t)
	first := w.pod("first", "1.30.4", nil)
	w.now()
	ns, proxied := workloads.Change{Namespace: w.namespace}, workloads.Change{Namespace: w.namespace, Revision: "main"}
	if n := w.tellings(ns) + w.tellings(proxied); n > 0 {
		t.Errorf("told %d times of what was there before the first question", n)
	}
	for name, tt := range map[string]struct {
		happens func()
		want    workloads.Change
	}{
		"ready": {func() { w.set(first, corev1.PodRunning, corev1.ConditionTrue) }, proxied},
		"a pod": {func() { w.pod("plain", "", nil) }, ns},
		"a budget": {func() {
			w.create(&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "budget"}, Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector("first")}})
		}, ns},
		"a deployment": {func() { w.deployment("web", 1) }, ns},
	} {
		before := w.tellings(tt.want)
		tt.happens()
		testutil.Eventually(t, soon, "told of "+name, func() (bool, string) { return w.tellings(tt.want) > before, "not told" })
	}
	w.until("web is healthy", healthy("Deployment/web", 1, old))
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}}
	w.quiet(d)
	// What does not count is known to the cache, and what comes later is told, without a word of it.
	plain, with := w.tellings(ns), w.tellings(proxied)
	edit(w, first, func(p *corev1.Pod) { p.Labels = map[string]string{"colour": "blue"} })
	w.touch(d)
	testutil.Eventually(t, soon, "the cache has seen both", func() (bool, string) {
		pod, deployment := w.Seen("Pod", w.namespace+"/first"), w.Seen("Deployment", w.namespace+"/web")
		return pod == first.ResourceVersion && deployment == d.ResourceVersion, pod + " " + deployment
	})
	for _, revision := range []string{"later", "last"} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: revision, Annotations: map[string]string{"sidecar.istio.io/status": "{}", "istio.io/rev": revision}}, Spec: template("later", "").Spec}
		w.create(p)
		testutil.Eventually(t, soon, "told of the revision "+revision, func() (bool, string) {
			return w.tellings(workloads.Change{Namespace: w.namespace, Revision: revision}) == 1, "not told"
		})
	}
	if a, b := w.tellings(ns)-plain, w.tellings(proxied)-with; a+b > 0 {
		t.Errorf("told %d times of the status of a Deployment, %d times of the label of a pod", a, b)
	}
	// A proxy that becomes that of another revision is news for both.
	edit(w, first, func(p *corev1.Pod) { p.Annotations["istio.io/rev"] = "other" })
	testutil.Eventually(t, soon, "told of both revisions", func() (bool, string) {
		other := w.tellings(workloads.Change{Namespace: w.namespace, Revision: "other"})
		return other == 1 && w.tellings(proxied) == with+1, fmt.Sprint(other, w.tellings(proxied)-with)
	})
}

func (w *world) tellings(change workloads.Change) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[change]
}

// TestStop: the cache ends with its manager, and says so to whom asks it after that.
func TestStop(t *testing.T) {
	w := start(t)
	w.now()
	w.must(w.stop())
	testutil.NoLeaks(t, t.Name(), soon)
}
