// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/pace"
)

// listOf is a cache of namespaces.
type listOf struct {
	client.Reader
	namespaces []metav1.PartialObjectMetadata
}

func (l listOf) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*metav1.PartialObjectMetadataList).Items = slices.Clone(l.namespaces)
	return nil
}

func labelled(tiers ...string) listOf {
	var out listOf
	for _, tier := range tiers {
		ns := metav1.PartialObjectMetadata{}
		ns.Name, ns.UID, ns.Labels = "ns-"+tier, types.UID("uid-"+tier), map[string]string{"tier": tier}
		out.namespaces = append(out.namespaces, ns)
	}
	return out
}

func policyForTier(tier string, generation int64) *v1alpha1.LimitPolicy {
	policy := policyOf("p", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
	policy.Spec.NamespaceSelector.MatchLabels = map[string]v1alpha1.LabelValue{"tier": v1alpha1.LabelValue(tier)}
	policy.Generation = generation
	return policy
}

// TestPolicyEvents holds that a change of a policy asks for all namespaces that may have something of it:
// those on record, those it selects, and those it selected a moment ago, which may be under way.
func TestPolicyEvents(t *testing.T) {
	a, b := policyForTier("a", 1), policyForTier("b", 2)
	bad := policyForTier("b", 3)
	bad.Spec.Limits = containerMax("plenty")
	relabelled := a.DeepCopy()
	relabelled.Labels = map[string]string{"x": "y"}
	held := a.DeepCopy()
	held.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
	for name, test := range map[string]struct {
		fire func(*watches, queue)
		want []string
	}{
		"created": {func(w *watches, q queue) {
			w.policyEvents().Create(t.Context(), event.CreateEvent{Object: a}, q)
		}, []string{"ns-a", "ns-known"}},
		"there at the start, where every namespace is asked for": {func(w *watches, q queue) {
			w.policyEvents().Create(t.Context(), event.CreateEvent{Object: a, IsInInitialList: true}, q)
		}, nil},
		"selects others now": {func(w *watches, q queue) {
			w.policyEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: a, ObjectNew: b}, q)
		}, []string{"ns-a", "ns-b", "ns-known"}},
		"cannot be read any more": {func(w *watches, q queue) {
			w.policyEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: a, ObjectNew: bad}, q)
		}, []string{"ns-a", "ns-known"}},
		"only its labels changed": {func(w *watches, q queue) {
			w.policyEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: a, ObjectNew: relabelled}, q)
		}, nil},
		"paused": {func(w *watches, q queue) {
			w.policyEvents().Update(t.Context(), event.UpdateEvent{ObjectOld: a, ObjectNew: held}, q)
		}, []string{"ns-a", "ns-known"}},
		"deleted": {func(w *watches, q queue) {
			w.policyEvents().Delete(t.Context(), event.DeleteEvent{Object: a}, q)
		}, []string{"ns-a", "ns-known"}},
	} {
		l := newLedger()
		l.covered("ns-known", outcome{policies: []selected{{page: mustRead(t, a), name: a.Name, uid: a.UID}}})
		w := &watches{client: labelled("a", "b", "c"), book: newBook("own"), ledger: l}
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		test.fire(w, q)
		var got []string
		for q.Len() > 0 {
			request, _ := q.Get()
			got = append(got, request.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s asks for %v, want %v", name, got, test.want)
		}
	}
}

func TestNamespaceChanged(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*metav1.PartialObjectMetadata)
		want bool
	}{
		"nothing that matters": {func(ns *metav1.PartialObjectMetadata) {
			ns.ResourceVersion, ns.Annotations = "7", map[string]string{"x": "y"}
		}, false},
		"a label":          {func(ns *metav1.PartialObjectMetadata) { ns.Labels = map[string]string{"tier": "b"} }, true},
		"it goes":          {func(ns *metav1.PartialObjectMetadata) { ns.DeletionTimestamp = new(metav1.Now()) }, true},
		"it was made anew": {func(ns *metav1.PartialObjectMetadata) { ns.UID = "another" }, true},
	} {
		before := &labelled("a").namespaces[0]
		after := before.DeepCopy()
		test.edit(after)
		if got := namespaceChanged(before, after); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestSubjectChanged(t *testing.T) {
	pod := memoryPod("x", "1Gi")
	for name, test := range map[string]struct {
		edit func(*corev1.Pod)
		want bool
	}{
		"nothing":        {func(*corev1.Pod) {}, false},
		"metadata":       {func(p *corev1.Pod) { p.ResourceVersion, p.Generation = "7", 2 }, false},
		"the phase":      {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, true},
		"a resize":       {func(p *corev1.Pod) { p.Spec.Containers[0].Resources = corev1.ResourceRequirements{} }, true},
		"an added claim": {func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{}) }, true},
	} {
		after := pod.DeepCopy()
		test.edit(after)
		if got := subjectChanged(pod, after); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func reconciler(began time.Time) *policyReconciler {
	return &policyReconciler{
		book: newBook("own"), ledger: newLedger(), began: func() time.Time { return began },
	}
}

func TestStatusWaits(t *testing.T) {
	r := reconciler(time.Now())
	policy := policyForTier("a", 1)
	policy.ResourceVersion = "100"
	if wait := r.wait(policy); wait != 0 {
		t.Errorf("a policy that was never spoken of waits %v", wait)
	}
	r.voices.Spoke(policy)
	if wait := r.wait(policy); wait <= 0 || wait > pace.Interval {
		t.Errorf("a policy that was just spoken of waits %v", wait)
	}
	r.voices.Set(types.NamespacedName{Name: policy.Name}, pace.Voice{UID: policy.UID, At: time.Now().Add(-time.Hour), Version: "100"})
	if wait := r.wait(policy); wait > 0 {
		t.Errorf("a policy that was spoken of long ago waits %v", wait)
	}
	r.voices.Set(types.NamespacedName{Name: policy.Name}, pace.Voice{UID: policy.UID, At: time.Now().Add(-time.Hour), Version: "101"})
	if wait := r.wait(policy); wait <= 0 {
		t.Error("the cache shows an older status than was written, and it is taken for the last")
	}
}

func TestStatusForgetsPoliciesThatAreGone(t *testing.T) {
	r := reconciler(time.Now())
	old, next := policyForTier("a", 1), policyForTier("a", 1)
	next.UID = "another"
	for _, policy := range []*v1alpha1.LimitPolicy{old, next} {
		if _, err := r.book.open(policy); err != nil {
			t.Fatal(err)
		}
		r.ledger.covered("shop", outcome{
			policies: []selected{{page: mustRead(t, policy), name: policy.Name, uid: policy.UID}},
			result:   apply.Result{Drifts: []apply.Drift{driftIn("shop", 1)}},
		})
		r.wait(policy)
		if len(r.book.pages) != 1 || len(r.ledger.drifts) != 1 || r.voices.Last(types.NamespacedName{Name: policy.Name}).UID != policy.UID {
			t.Errorf("with %s there are %d pages, %d drift logs and the voice %+v", policy.UID, len(r.book.pages), len(r.ledger.drifts), r.voices.Last(types.NamespacedName{Name: policy.Name}))
		}
	}
	r.forget(next.Name)
	if len(r.book.pages)+len(r.ledger.drifts)+r.voices.Len() != 0 {
		t.Errorf("what is left is %v %v %v", r.book.pages, r.ledger.drifts, r.voices.Len())
	}
}

func TestStatusFromBeforeTheStartStandsForAWhile(t *testing.T) {
	policy := policyForTier("a", 2)
	partly, all := &evidence{summary: summary{unreported: 1}}, &evidence{}
	for name, test := range map[string]struct {
		observed int64
		found    *evidence
		since    time.Duration
		want     bool
	}{
		"all is known":                    {2, all, 0, true},
		"not all is known":                {2, partly, 0, false},
		"not all is known for too long":   {2, partly, time.Hour, true},
		"the status speaks of an old one": {1, partly, 0, true},
	} {
		policy.Status.ObservedGeneration = test.observed
		r := reconciler(time.Now().Add(-test.since))
		if got := r.warm(policy, test.found); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if got := r.warm(policy, partly); test.want && !got {
			t.Errorf("%s: once told, it is silent again", name)
		}
	}
}

// BenchmarkSummarize is one status of one of 20 policies that pick the same 5,000 namespaces, the worst case:
// each has ten findings in each. The memory of the ledger is told per namespace.
func BenchmarkSummarize(b *testing.B) {
	const namespaces, policies = 5_000, 20
	var parts []selected
	for i := range policies {
		policy := policyOf(fmt.Sprintf("p%02d", i), v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})
		page, err := read(policy)
		if err != nil {
			b.Fatal(err)
		}
		parts = append(parts, selected{page: page, name: policy.Name, uid: policy.UID})
	}
	before := heap()
	l := newLedger()
	var all []*metav1.PartialObjectMetadata
	for i := range namespaces {
		ns := &metav1.PartialObjectMetadata{}
		ns.Name, ns.UID = "ns-"+strconv.Itoa(i), types.UID(strconv.Itoa(i))
		all = append(all, ns)
		l.covered(ns.Name, outcome{namespace: ns.UID, policies: parts, result: apply.Result{Desired: 1, InForce: 1}})
		reports := map[types.UID]report{}
		for _, part := range parts {
			r := report{}
			for f := range maxFindings {
				r.top = append(r.top, v1alpha1.Finding{Kind: "Pod", Namespace: ns.Name, Name: fmt.Sprintf("pod-%d-%d", i, f), Rule: "limits[Container].max[memory]", Effect: v1alpha1.EffectRefused})
			}
			r.refused, r.rules = maxFindings, map[string]tally{"limits[Container].max[memory]": {refused: maxFindings}}
			reports[part.uid] = r
		}
		l.reported(&observed{name: ns.Name, uid: ns.UID, policies: parts}, reports)
	}
	memory := float64(heap() - before)
	b.ReportAllocs()
	for b.Loop() {
		if s := l.summarize(parts[3], all); s.covered != namespaces || s.report.refused != namespaces*maxFindings {
			b.Fatalf("the summary is %+v", s)
		}
	}
	b.ReportMetric(memory/namespaces/policies, "B/namespace/policy")
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
