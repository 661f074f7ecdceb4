// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// TestReadyIsNeverAhead covers 60 namespaces slowly, then changes the spec, and holds each status against what
// was in the namespaces when it was written: resource versions are of one sequence.
func TestReadyIsNeverAhead(t *testing.T) {
	t.Parallel()
	o := running(t)
	const count = 60
	var all []string
	for range count {
		all = append(all, o.namespace(t, "honest"))
	}
	o.faults.Inject(2*count, func(r testutil.Request) bool {
		return r.Write() && strings.Contains(r.Path, "/namespaces/honest-")
	}, delayed(300*time.Millisecond))

	policy := policyFor("honest", maxMemory("1Gi"))
	o.create(t, policy)
	seen := o.watch(t, policy)
	o.awaitCovered(t, policy, count)
	first := written(t, o, all, "1Gi")
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { maxMemory("2Gi")(&p.Spec) })
	o.awaitCovered(t, policy, count)
	second := written(t, o, all, "2Gi")

	unready, ready := 0, 0
	for _, p := range seen() {
		honest(t, p)
		if condition(p, v1alpha1.ConditionReady) != "True/Enforced" {
			unready++
			continue
		}
		versions := first
		if p.Status.ObservedGeneration == 2 {
			versions = second
		}
		if p.Status.ObservedGeneration == p.Generation {
			ready++
		}
		if n := p.Status.Namespaces; n.Selected != count || n.Covered != count {
			t.Errorf("Ready with the counts %+v", n)
		}
		for ns, version := range versions {
			if order, err := resourceversion.CompareResourceVersion(version, p.ResourceVersion); err != nil || order >= 0 {
				t.Errorf("generation %d was Ready at %s, but %s was written at %s", p.Status.ObservedGeneration, p.ResourceVersion, ns, version)
			}
		}
	}
	if unready < 3 || ready < 2 {
		t.Errorf("%d states were seen before and %d after all was done: too few to tell", unready, ready)
	}
}

// written gives the versions at which the LimitRanges became what they are.
func written(t *testing.T, o *operator, namespaces []string, memory string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, ns := range namespaces {
		made := o.limitRange(t, ns)
		if made == nil || made.Spec.Limits[0].Max.Memory().String() != memory {
			t.Fatalf("%s is said to be covered with max %s; there is %+v", ns, memory, made)
		}
		out[ns] = made.ResourceVersion
	}
	return out
}

// honest checks what holds for every status.
func honest(t *testing.T, p *v1alpha1.LimitPolicy) {
	t.Helper()
	s := &p.Status
	if s.ObservedGeneration == 0 {
		return
	}
	if s.ObservedGeneration > p.Generation {
		t.Errorf("observedGeneration %d is ahead of %d", s.ObservedGeneration, p.Generation)
	}
	ready := condition(p, v1alpha1.ConditionReady)
	reconciling, stalled := condition(p, v1alpha1.ConditionReconciling), condition(p, v1alpha1.ConditionStalled)
	switch {
	case ready == "":
		t.Errorf("Ready is not there: %+v", s.Conditions)
	case strings.HasPrefix(ready, "True/") && reconciling+stalled != "":
		t.Errorf("Ready, and yet %s %s", reconciling, stalled)
	case reconciling != "" && stalled != "":
		t.Errorf("Reconciling and Stalled at once: %s %s", reconciling, stalled)
	case ready == "False/Progressing" && reconciling == "":
		t.Errorf("Progressing, and not Reconciling: %+v", s.Conditions)
	}
	for _, c := range s.Conditions {
		if c.ObservedGeneration != s.ObservedGeneration || c.Message == "" || c.LastTransitionTime.IsZero() {
			t.Errorf("condition %+v does not go with observedGeneration %d", c, s.ObservedGeneration)
		}
	}
	if n := s.Namespaces; n != nil && n.Covered+n.Failed > n.Selected {
		t.Errorf("the counts are %+v", n)
	}
	if r := s.Report; r != nil && (len(r.Top) > 10 || len(r.Rules) > 10) || len(s.Overridden) > 10 || len(s.Repairs) > 5 {
		t.Errorf("a list is longer than it may be: %+v", s)
	}
}

// TestStormIsToldInMeasure edits and deletes what was made in 20 namespaces for a while, as fast as that goes.
func TestStormIsToldInMeasure(t *testing.T) {
	t.Parallel()
	o := running(t)
	const count = 20
	var all []string
	for range count {
		all = append(all, o.namespace(t, "storm"))
	}
	policy := o.policy(t, "storm", maxMemory("1Gi"), hardPods("7"))
	o.awaitCovered(t, policy, count)
	seen := o.watch(t, policy)

	before := len(o.told(policy))
	began, edits := time.Now(), 0
	for time.Since(began) < 4*time.Second {
		ns := all[edits%count]
		if made := o.limitRange(t, ns); made != nil {
			made.Spec.Limits[0].Max = foreignLimitRange("", "").Spec.Limits[0].Min
			if edits%3 == 0 {
				_ = o.client.Delete(t.Context(), made)
			} else {
				_ = o.client.Update(t.Context(), made) // A repair may come first.
			}
		}
		edits++
	}
	o.wantBounds(t, "Container max memory=1Gi", all...)
	o.awaitCovered(t, policy, count)
	told := o.told(policy)[before:]
	most := int(time.Since(began).Seconds()) + 3
	for _, kind := range []string{"/status", "/events"} {
		if n := len(slices.DeleteFunc(slices.Clone(told), func(path string) bool { return !strings.Contains(path, kind) })); n > most || n == 0 {
			t.Errorf("%d edits in %v made %d requests to %s, want 1 to %d", edits, time.Since(began), n, kind, most)
		}
	}
	for _, p := range seen() {
		honest(t, p)
	}
}

// told lists the paths of the operator's status writes and events of a policy.
func (o *operator) told(policy *v1alpha1.LimitPolicy) []string {
	var out []string
	for _, r := range o.requests.Select(func(r testutil.Request) bool {
		return r.Write() && (strings.HasSuffix(r.Path, "/"+policy.Name+"/status") ||
			r.Method == http.MethodPost && strings.Contains(r.Path, "/events") && strings.Contains(r.Body, policy.Name))
	}) {
		out = append(out, r.Path)
	}
	return out
}

// TestNoWritesAtRest is not parallel: it counts all requests that the API server answers.
func TestNoWritesAtRest(t *testing.T) {
	o := running(t)
	var all []string
	for range 20 {
		all = append(all, o.namespace(t, "rest"))
	}
	o.create(t, podOf(all[0], "large", "2Gi"))
	o.create(t, foreignLimitRange(all[1], "theirs"))
	enforced := o.policy(t, "rest", maxMemory("1Gi"), hardPods("7"))
	higher := o.policy(t, "rest", maxMemory("512Mi"), priority(3))
	trial := o.policy(t, "rest", maxMemory("2Gi"), dryRun)
	o.awaitCovered(t, enforced, 20)
	o.awaitCovered(t, higher, 20)
	o.awaitReport(t, higher, 1, 0)
	o.awaitReady(t, trial, "True/DryRun")
	change(t, o, o.limitRange(t, all[2]), func(l *corev1.LimitRange) { l.Spec.Limits[0].Max = nil })
	o.await(t, higher, "a repair", func(p *v1alpha1.LimitPolicy) bool { return len(p.Status.Repairs) > 0 })
	o.atRest(t)

	// Events that change nothing of ours must not make it write: a resync of the watches is one of them.
	o.faults.CutWatches()
	o.idle(t, "after its watches broke", 3*time.Second)

	o.restart(t, enforced, higher, trial)
	for _, policy := range []*v1alpha1.LimitPolicy{enforced, higher, trial} {
		if covered, _ := figure(t, "fairlead_limitpolicy_namespaces", "policy", policy.Name, "state", "covered"); covered != 20 {
			t.Errorf("the new operator counts %v namespaces of %s as covered", covered, policy.Name)
		}
	}
	if writes := o.requests.Writes(""); len(writes) != 0 {
		t.Errorf("the restarted operator wrote: %+v", writes)
	}
	o.idle(t, "after a restart", 5*time.Second)
	for i, want := range []string{"Container max memory=512Mi", "none"} {
		if got := o.bounds(t, []string{all[0], "default"}[i]); got != want {
			t.Errorf("in the end there is %s, want %s", got, want)
		}
	}
}

// atRest waits until nothing has been written for a while, by anybody.
func (o *operator) atRest(t *testing.T) {
	t.Helper()
	client := testutil.Clientset(t, cluster.Config(t))
	last, at := testutil.Writes{}, time.Now()
	testutil.Eventually(t, soon, "nobody writes", func() (bool, string) {
		now, err := testutil.ServerWrites(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		more := now.Since(last)
		if len(more) > 0 {
			last, at = now, time.Now()
		}
		var namespaces corev1.NamespaceList
		if err := o.client.List(t.Context(), &namespaces); err != nil {
			t.Fatal(err)
		}
		for i := range namespaces.Items {
			if namespaces.Items[i].DeletionTimestamp != nil {
				return false, namespaces.Items[i].Name + " of another test is still going"
			}
		}
		return time.Since(at) > 2*time.Second, more.String()
	})
}

// idle fails the test if anything is written within a span.
func (o *operator) idle(t *testing.T, when string, span time.Duration) {
	t.Helper()
	client := testutil.Clientset(t, cluster.Config(t))
	before, err := testutil.ServerWrites(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	// There is no condition to wait for: the test is that nothing happens.
	time.Sleep(span)
	after, err := testutil.ServerWrites(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for write, count := range after.Since(before) {
		// Others (kube-controller-manager's start) write what is none of ours.
		if slices.ContainsFunc([]string{"limitranges", "resourcequotas", "limitpolicies", "events", "namespaces", "pods"},
			func(resource string) bool { return strings.Contains(write, " "+resource+"/") }) {
			t.Errorf("%s, at rest, there were writes: %s %v", when, write, count)
		}
	}
}

// TestStatusWritesThatFail come to the same status as those that do not.
func TestStatusWritesThatFail(t *testing.T) {
	t.Parallel()
	o := running(t)
	for name, fault := range map[string]testutil.Fault{
		"not found":    testutil.Answer(http.StatusNotFound, metav1.StatusReasonNotFound, 0),
		"conflict":     testutil.Answer(http.StatusConflict, metav1.StatusReasonConflict, 0),
		"broken":       testutil.Answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0),
		"disconnected": testutil.Refuse,
		"unanswered":   testutil.LoseAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			label := unique("fails")
			o.namespace(t, label)
			policy := policyFor(label, maxMemory("1Gi"))
			path := "/limitpolicies/" + policy.Name + "/status" // The policy itself is read into while requests go.
			o.faults.Inject(3, func(r testutil.Request) bool { return r.Write() && strings.HasSuffix(r.Path, path) }, fault)
			o.create(t, policy)
			o.awaitCovered(t, policy, 1)
		})
	}
}

// TestCoveringThatFails is told while it does, and ends in force.
func TestCoveringThatFails(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "retried")
	o.faults.Inject(8, func(r testutil.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.Path, "/namespaces/"+ns+"/limitranges")
	}, testutil.Answer(http.StatusForbidden, metav1.StatusReasonForbidden, 0))
	policy := o.policy(t, "retried", maxMemory("1Gi"), hardPods("7"))
	got := o.awaitReady(t, policy, "False/ApplyFailed")
	honest(t, got)
	if text := message(got, v1alpha1.ConditionReady); text != "being retried: "+ns+": Forbidden" {
		t.Errorf("Ready says %q", text)
	}
	if condition(got, v1alpha1.ConditionReconciling) != "True/ApplyFailed" || got.Status.Namespaces.Failed != 1 {
		t.Errorf("the status is %+v", got.Status)
	}
	// One object that fails does not keep the other from being applied.
	o.wantPods(t, "7", ns)
	o.awaitCovered(t, policy, 1)
}
