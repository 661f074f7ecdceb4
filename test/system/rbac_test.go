// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/operator"
)

// permission is one thing that a role allows, or that a request asked for.
type permission struct{ verb, group, resource string }

// TestPermissionsAreExactlyWhatIsUsed runs the operator as its own ServiceAccount with nothing but the roles of
// config/rbac, makes it do everything that it does, and compares the API server's audit log with the roles.
func TestPermissionsAreExactlyWhatIsUsed(t *testing.T) {
	ctx := t.Context()
	account := onlyAccount(t)
	token, err := suite.plain.CoreV1().ServiceAccounts(operatorNamespace).
		CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Of another test; the operator has to make its own.
	err = suite.plain.CoordinationV1().Leases(operatorNamespace).Delete(ctx, setup.LeaseName, metav1.DeleteOptions{})
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	// It reads which image it runs from its own pod. There is no node, but the Deployment has made pods.
	t.Setenv("POD_NAME", ownPod(t))
	process, err := operator.Start(suite.binary, kubeconfig(t, token.Status.Token), filepath.Join(suite.dir, "rbac.log"),
		"--leader-elect", "--namespace="+operatorNamespace, "--metrics-secure=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	}()
	user := "system:serviceaccount:" + operatorNamespace + ":" + account
	doEverything(t, user)
	doEverythingForLoadBalancers(t, user)
	doEverythingForMeshes(t, user)
	scrapeSecurely(t, process)

	allowed := permissionsOf(t, account)
	elsewhere := whereIstiodRuns()
	unused := func(used map[permission]bool) []permission {
		return slices.DeleteFunc(missing(allowed, used), func(p permission) bool { return elsewhere[p] })
	}
	// Events and the answer to the last scrape trickle in.
	_ = wait.PollUntilContextTimeout(ctx, time.Second, 15*time.Second, true, func(context.Context) (bool, error) {
		used, _ := audited(t, user)
		return len(unused(used)) == 0, nil
	})
	used, refused := audited(t, user)
	if idle := unused(used); len(idle) > 0 {
		t.Errorf("allowed by config/rbac and never used: %v", idle)
	}
	if len(refused) > 0 {
		t.Errorf("refused for want of a permission: %v", sorted(refused))
	}
	if extra := missing(used, allowed); len(extra) > 0 {
		t.Errorf("used without a role of config/rbac: %v", extra)
	}
}

func onlyAccount(t *testing.T) string {
	t.Helper()
	accounts, err := suite.plain.CoreV1().ServiceAccounts(operatorNamespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, account := range accounts.Items {
		if account.Name != "default" {
			names = append(names, account.Name)
		}
	}
	if len(names) != 1 {
		t.Fatalf("ServiceAccounts in config/default: %v; want one", names)
	}
	return names[0]
}

// doEverything makes the operator create, repair, replace, prune, meet what is not its own, and tell of it.
func doEverything(t *testing.T, user string) {
	ctx := t.Context()
	for _, name := range []string{"rbac-a", "rbac-b"} {
		create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"suite": "rbac"}}})
	}
	// It finds the name taken, reads what has it, and adopts it.
	create(t, &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Namespace: "rbac-b", Name: "fairlead"},
		Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypePod}}},
	})
	policy := policyFor("rbac", "rbac")
	create(t, policy)
	eventually(t, "the policy is conflicted", func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(policy), policy)
		return meta.IsStatusConditionTrue(policy.Status.Conditions, v1alpha1.ConditionConflicted), err
	})
	patch(t, "LimitRange", "rbac-b", `{"metadata":{"annotations":{"fleet.fairlead.io/adopt":"true"}}}`)
	ready(t, policy, 2)
	patch(t, "LimitRange", "rbac-a", `{"spec":{"limits":[{"type":"Container","max":{"memory":"4Gi"}}]}}`)
	patch(t, "ResourceQuota", "rbac-a", `{"spec":{"hard":{"requests.cpu":"99"}}}`)
	eventually(t, "the edits are repaired", func(ctx context.Context) (bool, error) {
		limits, quota := &corev1.LimitRange{}, &corev1.ResourceQuota{}
		key := types.NamespacedName{Namespace: "rbac-a", Name: "fairlead"}
		err := errors.Join(suite.client.Get(ctx, key, limits), suite.client.Get(ctx, key, quota))
		return err == nil && limits.Spec.Limits[0].Max.Memory().String() == "512Mi" &&
			quota.Spec.Hard.Name(corev1.ResourceRequestsCPU, resource.DecimalSI).String() == "20", err
	})
	replaceInARace(t, user)
	ready(t, policy, 2)
	if err := suite.client.Delete(ctx, policy); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the limits go with the policy", func(ctx context.Context) (bool, error) {
		var left corev1.LimitRangeList
		err := suite.client.List(ctx, &left, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
		return len(left.Items) == 0, err
	})
}

func replaceInARace(t *testing.T, user string) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: "rbac-a", Name: "fairlead", Annotations: map[string]string{v1alpha1.AnnotationAdopt: "true"}}
	race(t, user, &corev1.LimitRange{ObjectMeta: meta}, permission{"get", "", "limitranges"})
	race(t, user, &corev1.ResourceQuota{ObjectMeta: meta}, permission{"get", "", "resourcequotas"})
}

// race deletes and makes an object of the operator's name until it has met one between its own look and its own
// creation, and read it.
func race(t *testing.T, user string, object client.Object, read permission) {
	t.Helper()
	eventually(t, "the operator reads what took its name", func(ctx context.Context) (bool, error) {
		for range 10 {
			gone := client.IgnoreNotFound(suite.client.Delete(ctx, object.DeepCopyObject().(client.Object)))
			made := client.IgnoreAlreadyExists(suite.client.Create(ctx, object.DeepCopyObject().(client.Object)))
			if err := errors.Join(gone, made); err != nil {
				return false, err
			}
		}
		used, _ := audited(t, user)
		return used[read], nil
	})
}

// scrapeSecurely reads the metrics as Prometheus does, which makes the operator ask the API server who it is.
func scrapeSecurely(t *testing.T, process *operator.Process) {
	t.Helper()
	eventually(t, "the metrics endpoint asks who scrapes", func(ctx context.Context) (bool, error) {
		status, err := process.ScrapeSecurely(ctx, suite.plane.Config().BearerToken)
		return err == nil && status == 200, nil
	})
}

// permissionsOf lists what the roles bound to an account allow, but for what it only grants to others.
func permissionsOf(t *testing.T, account string) map[permission]bool {
	t.Helper()
	ctx := t.Context()
	out := map[permission]bool{}
	bound := func(subjects []rbacv1.Subject) bool {
		return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return s.Kind == "ServiceAccount" && s.Name == account })
	}
	var clusterBindings rbacv1.ClusterRoleBindingList
	if err := suite.client.List(ctx, &clusterBindings); err != nil {
		t.Fatal(err)
	}
	for _, binding := range clusterBindings.Items {
		if bound(binding.Subjects) && binding.RoleRef.Name != istioRole {
			role := &rbacv1.ClusterRole{}
			if err := suite.client.Get(ctx, types.NamespacedName{Name: binding.RoleRef.Name}, role); err != nil {
				t.Fatal(err)
			}
			add(t, out, role.Rules)
		}
	}
	var bindings rbacv1.RoleBindingList
	if err := suite.client.List(ctx, &bindings, client.InNamespace(operatorNamespace)); err != nil {
		t.Fatal(err)
	}
	for _, binding := range bindings.Items {
		if bound(binding.Subjects) {
			role := &rbacv1.Role{}
			if err := suite.client.Get(ctx, types.NamespacedName{Namespace: operatorNamespace, Name: binding.RoleRef.Name}, role); err != nil {
				t.Fatal(err)
			}
			add(t, out, role.Rules)
		}
	}
	if len(out) == 0 {
		t.Fatal("no role is bound to the operator")
	}
	return out
}

func add(t *testing.T, out map[permission]bool, rules []rbacv1.PolicyRule) {
	t.Helper()
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if group == "*" || resource == "*" || verb == "*" {
						t.Errorf("wildcard in a rule: %+v", rule)
					}
					if verb == "bind" {
						// It is no request of its own: without it the RoleBindings would be refused.
						onlyNamed(t, rule)
						continue
					}
					out[permission{verb, group, resource}] = true
				}
			}
		}
	}
}

// onlyNamed requires that a rule says which objects it is for.
func onlyNamed(t *testing.T, rule rbacv1.PolicyRule) {
	t.Helper()
	if len(rule.ResourceNames) != 3 || len(rule.Verbs) != 1 {
		t.Errorf("the rule to bind roles is too wide: %+v", rule)
	}
}

// audited reads from the audit log what a user asked for, and what it was refused.
func audited(t *testing.T, user string) (used, refused map[permission]bool) {
	t.Helper()
	file, err := os.Open(suite.audit)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	used, refused = map[permission]bool{}, map[permission]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditv1.Event
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.User.Username != user || event.ObjectRef == nil {
			continue
		}
		asked := permission{event.Verb, event.ObjectRef.APIGroup, event.ObjectRef.Resource}
		if event.ObjectRef.Subresource != "" {
			asked.resource += "/" + event.ObjectRef.Subresource
		}
		used[asked] = true
		// The words of the authorizer; a namespace that goes is Forbidden too.
		if event.Annotations["authorization.k8s.io/decision"] == "forbid" {
			refused[asked] = true
		}
		// And those of who grants more than he has.
		if event.ResponseStatus != nil && strings.Contains(event.ResponseStatus.Message, "is attempting to grant RBAC permissions not currently held") {
			refused[permission{"grant by " + event.Verb, asked.group, asked.resource + " " + event.ObjectRef.Name}] = true
		}
	}
	return used, refused
}

func missing(want, have map[permission]bool) []permission {
	out := map[permission]bool{}
	for p := range want {
		// An informer may list by a watch that begins with all that is there.
		if !have[p] && (p.verb != "list" || !have[permission{"watch", p.group, p.resource}]) {
			out[p] = true
		}
	}
	return sorted(out)
}

func sorted(of map[permission]bool) []permission {
	return slices.SortedFunc(maps.Keys(of), func(a, b permission) int {
		return slices.Compare([]string{a.group, a.resource, a.verb}, []string{b.group, b.resource, b.verb})
	})
}

func policyFor(name, label string) *v1alpha1.LimitPolicy {
	return &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.LimitPolicySpec{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"suite": v1alpha1.LabelValue(label)}},
			Limits: []v1alpha1.LimitItem{{
				Type: corev1.LimitTypeContainer,
				Max:  v1alpha1.Amounts{corev1.ResourceMemory: "512Mi"},
				Min:  v1alpha1.Amounts{corev1.ResourceMemory: "256Mi"},
			}},
			Quota: &v1alpha1.Quota{Hard: map[corev1.ResourceName]v1alpha1.Amount{corev1.ResourceRequestsCPU: "20"}},
		},
	}
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := suite.client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func patch(t *testing.T, kind, namespace, body string) {
	t.Helper()
	var object client.Object = &corev1.LimitRange{}
	if kind == "ResourceQuota" {
		object = &corev1.ResourceQuota{}
	}
	object.SetNamespace(namespace)
	object.SetName("fairlead")
	if err := suite.client.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		t.Fatal(err)
	}
}

// ready waits until a policy says that it covers so many namespaces.
func ready(t *testing.T, policy *v1alpha1.LimitPolicy, namespaces int) {
	t.Helper()
	eventually(t, "policy "+policy.Name+" is ready", func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(policy), policy)
		counts := policy.Status.Namespaces
		return err == nil && meta.IsStatusConditionTrue(policy.Status.Conditions, v1alpha1.ConditionReady) &&
			counts != nil && int(counts.Covered) == namespaces, err
	})
}
