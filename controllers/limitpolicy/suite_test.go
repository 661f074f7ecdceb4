// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/metrics"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/controlplane"
)

const (
	// soon is how long a test waits for what should take milliseconds; the machine may be busy.
	soon = 60 * time.Second
	// ownNamespace is the operator's.
	ownNamespace = "fairlead-system"
	// tier is the label by which the policies of a test pick its namespaces.
	tier = "tier"
	// editor is the field manager of foreign changes.
	editor = "kubectl-edit"
)

var (
	cluster = testutil.Cluster{Options: controlplane.Options{ControllerManager: true}}
	fleet   = &operator{}
	names   atomic.Int64
)

const crds = "../../config/crd/bases"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(cluster.Run(m))
}

// operator is the operator as main runs it, in this process. Tests share one; those that restart it are not
// parallel to others.
type operator struct {
	once     sync.Once
	client   client.WithWatch
	requests *testutil.Requests
	faults   *testutil.Faults
	stop     func() error
}

// running gives the operator, started.
func running(t *testing.T) *operator {
	t.Helper()
	fleet.once.Do(func() {
		config := cluster.Config(t)
		if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{crds}, ErrorIfPathMissing: true}); err != nil {
			t.Fatal(err)
		}
		var err error
		if fleet.client, err = client.NewWithWatch(config, client.Options{Scheme: setup.Scheme()}); err != nil {
			t.Fatal(err)
		}
		fleet.start(t)
	})
	if fleet.stop == nil {
		t.Fatal("the operator did not start")
	}
	return fleet
}

// start runs a new operator, which knows nothing.
func (o *operator) start(t *testing.T) {
	t.Helper()
	o.requests, o.faults = &testutil.Requests{}, &testutil.Faults{}
	cfg := cluster.Config(t)
	cfg.Wrap(o.faults.Wrap)
	cfg.Wrap(o.requests.Wrap)
	mgr, err := setup.Manager(cfg, setup.Options{
		Namespace: ownNamespace, MetricsAddress: "0", ProbeAddress: "0", Workers: 8, QPS: -1,
		// Restarts run controllers of the same name one after the other in this process.
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	o.stop = func() error {
		cancel()
		return <-done
	}
}

// restart stops the operator, starts a new one, and waits until that has all there is to know of the policies.
func (o *operator) restart(t *testing.T, policies ...*v1alpha1.LimitPolicy) {
	t.Helper()
	if err := o.stop(); err != nil {
		t.Fatalf("the operator ended with %v", err)
	}
	for _, policy := range policies {
		metrics.ForgetLimitPolicy(policy.Name)
	}
	o.start(t)
	for _, policy := range policies {
		testutil.Eventually(t, soon, "the new operator has looked at "+policy.Name, func() (bool, string) {
			_, ok := figure(t, "fairlead_limitpolicy_namespaces", "policy", policy.Name)
			return ok, "there are no figures of it"
		})
	}
}

// unique is a name that no other test has.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, names.Add(1)) }

// namespace makes a namespace that policies for the tier pick; it goes with the test.
func (o *operator) namespace(t *testing.T, tierValue string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unique(tierValue), Labels: map[string]string{tier: tierValue}}}
	o.create(t, ns)
	return ns.Name
}

// create makes an object that goes with the test.
func (o *operator) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := o.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(o.client.Delete(o.background(t), object)); err != nil {
			t.Error(err)
		}
	})
}

// background is for what runs after a test.
func (o *operator) background(t *testing.T) context.Context {
	return context.WithoutCancel(t.Context())
}

func extensionScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// policyFor is a policy for a tier, not created yet.
func policyFor(tierValue string, edit ...func(*v1alpha1.LimitPolicySpec)) *v1alpha1.LimitPolicy {
	policy := &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: unique(tierValue)},
		Spec: v1alpha1.LimitPolicySpec{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{tier: v1alpha1.LabelValue(tierValue)}},
		},
	}
	for _, e := range edit {
		e(&policy.Spec)
	}
	return policy
}

// policy makes a policy for a tier.
func (o *operator) policy(t *testing.T, tierValue string, edit ...func(*v1alpha1.LimitPolicySpec)) *v1alpha1.LimitPolicy {
	t.Helper()
	policy := policyFor(tierValue, edit...)
	o.create(t, policy)
	return policy
}

func maxMemory(amount v1alpha1.Amount) func(*v1alpha1.LimitPolicySpec) {
	return func(spec *v1alpha1.LimitPolicySpec) {
		spec.Limits = []v1alpha1.LimitItem{{Type: corev1.LimitTypeContainer, Max: v1alpha1.Amounts{corev1.ResourceMemory: amount}}}
	}
}

func minMemory(amount v1alpha1.Amount) func(*v1alpha1.LimitPolicySpec) {
	return func(spec *v1alpha1.LimitPolicySpec) {
		spec.Limits = []v1alpha1.LimitItem{{Type: corev1.LimitTypeContainer, Min: v1alpha1.Amounts{corev1.ResourceMemory: amount}}}
	}
}

func hardPods(amount v1alpha1.Amount) func(*v1alpha1.LimitPolicySpec) {
	return func(spec *v1alpha1.LimitPolicySpec) {
		spec.Quota = &v1alpha1.Quota{Hard: v1alpha1.Amounts{corev1.ResourcePods: amount}}
	}
}

func priority(p int32) func(*v1alpha1.LimitPolicySpec) {
	return func(spec *v1alpha1.LimitPolicySpec) { spec.Priority = p }
}

func dryRun(spec *v1alpha1.LimitPolicySpec) { spec.Enforcement = v1alpha1.DryRun }

// change edits an object as often as it takes.
func change[T client.Object](t *testing.T, o *operator, object T, edit func(T)) {
	t.Helper()
	testutil.Eventually(t, soon, "edit "+object.GetName(), func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		edit(object)
		err := o.client.Update(t.Context(), object, client.FieldOwner(editor))
		if err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// limitRange reads the LimitRange of ours in a namespace; nil where there is none.
func (o *operator) limitRange(t *testing.T, namespace string) *corev1.LimitRange {
	t.Helper()
	found := &corev1.LimitRange{}
	err := o.client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "fairlead"}, found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// bounds reads what our LimitRange in a namespace says, like "Container max memory=1Gi, min memory=1Mi"; "none"
// where there is none. Defaults that the API server derives are left out.
func (o *operator) bounds(t *testing.T, namespace string) string {
	t.Helper()
	found := o.limitRange(t, namespace)
	if found == nil {
		return "none"
	}
	var out []string
	for _, item := range found.Spec.Limits {
		var parts []string
		for _, bound := range []struct {
			name string
			list corev1.ResourceList
		}{{"max", item.Max}, {"min", item.Min}} {
			for name, value := range bound.list {
				parts = append(parts, fmt.Sprintf("%s %s=%s", bound.name, name, value.String()))
			}
		}
		out = append(out, string(item.Type)+" "+strings.Join(parts, ", "))
	}
	return strings.Join(out, "; ")
}

// wantBounds waits until the LimitRange of every namespace says this.
func (o *operator) wantBounds(t *testing.T, want string, namespaces ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		testutil.Eventually(t, soon, "the limits of "+namespace+" are "+want, func() (bool, string) {
			got := o.bounds(t, namespace)
			return got == want, "they are " + got
		})
	}
}

// pods reads the bound on pods of our ResourceQuota in a namespace; "none" where there is none.
func (o *operator) pods(t *testing.T, namespace string) string {
	t.Helper()
	found := &corev1.ResourceQuota{}
	err := o.client.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "fairlead"}, found)
	if apierrors.IsNotFound(err) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	return found.Spec.Hard.Pods().String()
}

func (o *operator) wantPods(t *testing.T, want string, namespaces ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		testutil.Eventually(t, soon, "the quota of "+namespace+" is "+want, func() (bool, string) {
			got := o.pods(t, namespace)
			return got == want, "it is " + got
		})
	}
}

// condition gives a condition of a policy as status/reason, empty where it does not apply.
func condition(policy *v1alpha1.LimitPolicy, name string) string {
	for _, c := range policy.Status.Conditions {
		if c.Type == name {
			return string(c.Status) + "/" + c.Reason
		}
	}
	return ""
}

// message gives the message of a condition.
func message(policy *v1alpha1.LimitPolicy, name string) string {
	for _, c := range policy.Status.Conditions {
		if c.Type == name {
			return c.Message
		}
	}
	return ""
}

// await waits until a policy's status speaks of its spec and is as wanted, and gives it.
func (o *operator) await(t *testing.T, policy *v1alpha1.LimitPolicy, what string, ok func(*v1alpha1.LimitPolicy) bool) *v1alpha1.LimitPolicy {
	t.Helper()
	found := &v1alpha1.LimitPolicy{}
	testutil.Eventually(t, soon, policy.Name+": "+what, func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(policy), found); err != nil {
			t.Fatal(err)
		}
		return found.Status.ObservedGeneration == found.Generation && ok(found), fmt.Sprintf("generation %d, status %+v", found.Generation, found.Status)
	})
	return found
}

// awaitReady waits until Ready is as wanted, like True/Enforced.
func (o *operator) awaitReady(t *testing.T, policy *v1alpha1.LimitPolicy, want string) *v1alpha1.LimitPolicy {
	t.Helper()
	return o.await(t, policy, "Ready is "+want, func(p *v1alpha1.LimitPolicy) bool { return condition(p, v1alpha1.ConditionReady) == want })
}

// awaitCovered waits until a policy is in force in so many namespaces.
func (o *operator) awaitCovered(t *testing.T, policy *v1alpha1.LimitPolicy, count int32) *v1alpha1.LimitPolicy {
	t.Helper()
	return o.await(t, policy, fmt.Sprintf("in force in %d namespaces", count), func(p *v1alpha1.LimitPolicy) bool {
		n := p.Status.Namespaces
		return condition(p, v1alpha1.ConditionReady) == "True/Enforced" && n != nil && n.Selected == count && n.Covered == count
	})
}

// delayed is a fault that keeps the API server's answer for a while.
func delayed(by time.Duration) testutil.Fault {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		select {
		case <-time.After(by):
			return next.RoundTrip(req)
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}
