// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

func TestCoversWhatIsSelected(t *testing.T) {
	t.Parallel()
	o := running(t)
	a, b, other := o.namespace(t, "covers"), o.namespace(t, "covers"), o.namespace(t, "covers-not")
	policy := o.policy(t, "covers", maxMemory("512Mi"), hardPods("7"))

	o.wantBounds(t, "Container max memory=512Mi", a, b)
	o.wantPods(t, "7", a, b)
	got := o.awaitCovered(t, policy, 2)
	if len(got.Status.Conditions) != 1 || got.Status.Overridden != nil || got.Status.Repairs != nil {
		t.Errorf("the status has more to tell than Ready: %+v", got.Status)
	}
	made := o.limitRange(t, a)
	if made.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("the LimitRange's labels are %v", made.Labels)
	}
	if refs := made.OwnerReferences; len(refs) != 1 || refs[0].UID != policy.UID || refs[0].Name != policy.Name {
		t.Errorf("the LimitRange's owners are %+v", refs)
	}
	if o.bounds(t, other) != "none" || o.pods(t, other) != "none" {
		t.Errorf("%s is not selected and has limits", other)
	}
	// In force is in force: the API server's own words.
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: a, Name: "large"}, Spec: podSpec("2Gi")}
	testutil.Eventually(t, soon, "a pod of 2Gi is refused", func() (bool, string) {
		err := o.client.Create(t.Context(), pod.DeepCopy())
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "maximum memory usage per Container is 512Mi, but limit is 2Gi"), fmt.Sprint(err)
	})
}

func TestNamespacesComeAndGo(t *testing.T) {
	t.Parallel()
	o := running(t)
	policy := o.policy(t, "comes", maxMemory("512Mi"), hardPods("7"))
	o.awaitCovered(t, policy, 0)

	created := o.namespace(t, "comes")
	o.wantBounds(t, "Container max memory=512Mi", created)
	o.awaitCovered(t, policy, 1)

	relabelled := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.namespace(t, "comes-later")}}
	change(t, o, relabelled, func(ns *corev1.Namespace) { ns.Labels[tier] = "comes" })
	o.wantBounds(t, "Container max memory=512Mi", relabelled.Name)
	o.wantPods(t, "7", relabelled.Name)
	o.awaitCovered(t, policy, 2)

	change(t, o, relabelled, func(ns *corev1.Namespace) { delete(ns.Labels, tier) })
	o.wantBounds(t, "none", relabelled.Name)
	o.wantPods(t, "none", relabelled.Name)
	o.awaitCovered(t, policy, 1)
	o.wantBounds(t, "Container max memory=512Mi", created)
}

func TestPolicyEditedAndDeleted(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "edited")
	policy := o.policy(t, "edited", maxMemory("512Mi"), hardPods("7"))
	o.wantBounds(t, "Container max memory=512Mi", ns)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { maxMemory("1Gi")(&p.Spec) })
	o.wantBounds(t, "Container max memory=1Gi", ns)
	o.awaitCovered(t, policy, 1)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.Quota = nil })
	o.wantPods(t, "none", ns)
	o.wantBounds(t, "Container max memory=1Gi", ns)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) {
		p.Spec.Limits = nil
		hardPods("3")(&p.Spec)
	})
	o.wantBounds(t, "none", ns)
	o.wantPods(t, "3", ns)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) {
		p.Spec.NamespaceSelector.MatchLabels[tier] = "edited-elsewhere"
	})
	o.wantPods(t, "none", ns)
	o.awaitCovered(t, policy, 0)

	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.NamespaceSelector.MatchLabels[tier] = "edited" })
	o.wantPods(t, "3", ns)
	if err := o.client.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	o.wantPods(t, "none", ns)
}

func TestPoliciesMergeAndUnmerge(t *testing.T) {
	t.Parallel()
	o := running(t)
	both, one := o.namespace(t, "merges"), o.namespace(t, "merges")
	low := o.policy(t, "merges", maxMemory("2Gi"), hardPods("10"))
	o.awaitCovered(t, low, 2)

	high := policyFor("merges", maxMemory("1Gi"), hardPods("20"), priority(5))
	high.Spec.NamespaceSelector.MatchLabels[corev1.LabelMetadataName] = v1alpha1.LabelValue(both)
	o.create(t, high)
	o.wantBounds(t, "Container max memory=1Gi", both)
	o.wantPods(t, "20", both)
	o.wantBounds(t, "Container max memory=2Gi", one)
	o.awaitCovered(t, high, 1)

	got := o.await(t, low, "Overridden", func(p *v1alpha1.LimitPolicy) bool {
		return condition(p, v1alpha1.ConditionOverridden) == "True/HigherPriorityWins"
	})
	want := []v1alpha1.OverriddenField{
		{Field: "limits[Container].max[memory]", Value: "2Gi", Winner: high.Name, Winning: "1Gi", Namespaces: 1},
		{Field: "quota.hard[pods]", Value: "10", Winner: high.Name, Winning: "20", Namespaces: 1},
	}
	if !slices.Equal(got.Status.Overridden, want) {
		t.Errorf("overridden are %+v, want %+v", got.Status.Overridden, want)
	}
	if condition(got, v1alpha1.ConditionReady) != "True/Enforced" {
		t.Errorf("who loses a field is not Ready: %+v", got.Status.Conditions)
	}
	if refs := o.limitRange(t, both).OwnerReferences; len(refs) != 2 {
		t.Errorf("the owners of what both policies make are %+v", refs)
	}

	// The same field in one namespace more.
	change(t, o, high, func(p *v1alpha1.LimitPolicy) {
		delete(p.Spec.NamespaceSelector.MatchLabels, corev1.LabelMetadataName)
	})
	o.await(t, low, "overridden in both", func(p *v1alpha1.LimitPolicy) bool {
		return len(p.Status.Overridden) == 2 && p.Status.Overridden[0].Namespaces == 2
	})
	if err := o.client.Delete(t.Context(), high); err != nil {
		t.Fatal(err)
	}
	o.wantBounds(t, "Container max memory=2Gi", both, one)
	o.wantPods(t, "10", both, one)
	o.await(t, low, "overridden no more", func(p *v1alpha1.LimitPolicy) bool {
		return condition(p, v1alpha1.ConditionOverridden) == "" && len(p.Status.Overridden) == 0
	})
	if refs := o.limitRange(t, both).OwnerReferences; len(refs) != 1 || refs[0].UID != low.UID {
		t.Errorf("the owners are %+v after one of two policies went", refs)
	}
}

func TestQuotasPerScopeSet(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "scopes")
	plain := o.policy(t, "scopes", hardPods("7"))
	scoped := o.policy(t, "scopes", hardPods("3"), func(spec *v1alpha1.LimitPolicySpec) {
		spec.Quota.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
	})
	o.awaitCovered(t, plain, 1)
	o.awaitCovered(t, scoped, 1)
	quotas := func() string {
		var list corev1.ResourceQuotaList
		if err := o.client.List(t.Context(), &list, inNamespace(ns)); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, q := range list.Items {
			out = append(out, fmt.Sprintf("%v %s", q.Spec.Scopes, q.Spec.Hard.Pods()))
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	if got := quotas(); got != "[BestEffort] 3, [] 7" {
		t.Errorf("the quotas are %s", got)
	}
	// Other scopes are another quota; the old one goes.
	change(t, o, scoped, func(p *v1alpha1.LimitPolicy) {
		p.Spec.Quota.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotTerminating}
	})
	testutil.Eventually(t, soon, "the quota of other scopes", func() (bool, string) {
		got := quotas()
		return got == "[NotTerminating] 3, [] 7", got
	})
}

// TestSystemNamespaces is not parallel: its broad selector picks the namespaces of every test.
func TestSystemNamespaces(t *testing.T) {
	o := running(t)
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ownNamespace}}
	if err := o.client.Create(t.Context(), own); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	ordinary := o.namespace(t, "ordinary")
	broad := policyFor("", hardPods("10000"))
	broad.Name, broad.Spec.NamespaceSelector = unique("broad"), v1alpha1.NamespaceSelector{}
	o.create(t, broad)
	o.wantPods(t, "10k", ordinary, "default")
	o.awaitReady(t, broad, "True/Enforced")
	system := []string{"kube-system", "kube-public", "kube-node-lease", ownNamespace}
	for _, name := range system {
		if got := o.pods(t, name); got != "none" {
			t.Errorf("a broad selector got %s: %s", name, got)
		}
	}

	named := policyFor("", hardPods("20000"))
	named.Name = unique("named")
	named.Spec.NamespaceSelector = v1alpha1.NamespaceSelector{MatchExpressions: []v1alpha1.LabelExpression{{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []v1alpha1.LabelValue{"kube-system", ownNamespace},
	}}}
	o.create(t, named)
	o.awaitCovered(t, named, 2)
	if a, b, c := o.pods(t, "kube-system"), o.pods(t, ownNamespace), o.pods(t, "kube-public"); a != "20k" || b != "20k" || c != "none" {
		t.Errorf("named outright, kube-system has %s, %s has %s, and kube-public, which is not, has %s", a, ownNamespace, b, c)
	}
	for _, policy := range []*v1alpha1.LimitPolicy{broad, named} {
		if err := o.client.Delete(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
	}
	o.wantPods(t, "none", append(system, ordinary, "default")...)
}

func TestPolicyRecreatedAtOnce(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "recreated")
	policy := policyFor("recreated", maxMemory("1Gi"))
	o.create(t, policy)
	o.awaitCovered(t, policy, 1)
	for _, amount := range []v1alpha1.Amount{"2Gi", "3Gi", "4Gi"} {
		old := policy.UID
		if err := o.client.Delete(t.Context(), policy); err != nil {
			t.Fatal(err)
		}
		next := policyFor("recreated", maxMemory(amount))
		next.Name = policy.Name
		if err := o.client.Create(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		policy.UID = next.UID
		testutil.Eventually(t, soon, "the LimitRange is that of the new policy", func() (bool, string) {
			made := o.limitRange(t, ns)
			return made != nil && len(made.OwnerReferences) == 1 && made.OwnerReferences[0].UID != old && o.bounds(t, ns) == "Container max memory="+string(amount),
				fmt.Sprintf("it is %+v", made)
		})
		o.awaitCovered(t, next, 1)
	}
	// Garbage collection looks at the owner references, too, and must find nothing to take away.
	made := o.limitRange(t, ns)
	for _, ref := range made.OwnerReferences {
		if ref.UID != policy.UID {
			t.Errorf("the LimitRange names an owner that is gone: %+v", ref)
		}
	}
}

// TestNamespaceTerminatesMidWay deletes a namespace that cannot go yet, with its limits in force.
func TestNamespaceTerminatesMidWay(t *testing.T) {
	t.Parallel()
	o := running(t)
	stays := o.namespace(t, "terminates")
	goes := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.namespace(t, "terminates")}}
	policy := o.policy(t, "terminates", maxMemory("1Gi"))
	o.awaitCovered(t, policy, 2)
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: goes.Name, Name: "held", Finalizers: []string{"example.com/hold"}}}
	o.create(t, held)
	if err := o.client.Delete(t.Context(), goes); err != nil {
		t.Fatal(err)
	}
	// The namespace controller deletes what is in it; ours is not made anew, and the policy is done without it.
	o.wantBounds(t, "none", goes.Name)
	o.awaitCovered(t, policy, 1)
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { maxMemory("2Gi")(&p.Spec) })
	o.wantBounds(t, "Container max memory=2Gi", stays)
	o.awaitCovered(t, policy, 1)
	if got := o.bounds(t, goes.Name); got != "none" {
		t.Errorf("in the terminating namespace there is %s", got)
	}
	writes := o.requests.Select(func(r testutil.Request) bool {
		return r.Write() && strings.Contains(r.Path, "/namespaces/"+goes.Name+"/limitranges")
	})
	if len(writes) != 1 {
		t.Errorf("the terminating namespace was written to: %+v", writes)
	}
	change(t, o, held, func(c *corev1.ConfigMap) { c.Finalizers = nil })
}

// TestNamespaceDeletedWhileItIsCovered has the LimitRange on its way when the namespace starts to go.
func TestNamespaceDeletedWhileItIsCovered(t *testing.T) {
	t.Parallel()
	o := running(t)
	stays, goes := o.namespace(t, "late"), o.namespace(t, "late")
	onItsWay, going, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	o.faults.Inject(1, func(r testutil.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.Path, "/namespaces/"+goes+"/limitranges")
	}, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		defer close(answered)
		close(onItsWay)
		<-going
		return next.RoundTrip(req)
	})
	policy := o.policy(t, "late", maxMemory("1Gi"))
	<-onItsWay
	remove(t, o, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: goes}})
	close(going)
	<-answered
	o.wantBounds(t, "Container max memory=1Gi", stays)
	got := o.awaitCovered(t, policy, 1)
	if got.Status.Namespaces.Failed != 0 {
		t.Errorf("a namespace that is gone counts: %+v", got.Status.Namespaces)
	}
}
