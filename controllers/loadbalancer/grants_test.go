// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

const finalizer = "fleet.fairlead.io/other-namespaces"

// grantDefinition is that of ReferenceGrants, as far as a test needs it.
func grantDefinition() *apiextensionsv1.CustomResourceDefinition {
	schema := &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "referencegrants.gateway.networking.k8s.io",
			Annotations: map[string]string{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/4538"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "gateway.networking.k8s.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "ReferenceGrant", ListKind: "ReferenceGrantList", Plural: "referencegrants", Singular: "referencegrant"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1beta1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: schema},
			}},
		},
	}
}

func grantFor(namespace, from string, kinds ...gatewayv1beta1.Kind) *gatewayv1beta1.ReferenceGrant {
	out := &gatewayv1beta1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "grant"}}
	out.Spec.From = []gatewayv1beta1.ReferenceGrantFrom{{
		Group: gatewayv1beta1.Group(v1alpha1.GroupVersion.Group), Kind: "LoadBalancer", Namespace: gatewayv1beta1.Namespace(from),
	}}
	for _, kind := range kinds {
		out.Spec.To = append(out.Spec.To, gatewayv1beta1.ReferenceGrantTo{Kind: kind})
	}
	return out
}

// TestGrants goes through the life of references into another namespace: no kind for grants at all, the kind
// installed while the operator runs, a grant, its end, the restart of the operator, and the end of everything.
func TestGrants(t *testing.T) {
	o := running(t)
	other := o.namespace(t, "granted")
	o.create(t, service(other, "web", corev1.ServicePort{Port: 80}))
	lb := o.balancer(t, "grants", members(v1alpha1.ServiceReference{Name: "web", Namespace: other}), func(spec *v1alpha1.LoadBalancerSpec) {
		spec.Listeners = append(spec.Listeners, v1alpha1.Listener{Name: "https", Port: 443, Protocol: v1alpha1.ProtocolHTTPS,
			TLS: &v1alpha1.ListenerTLS{Certificates: []v1alpha1.SecretReference{{SecretName: "tls", Namespace: other}}}})
	})
	bindings := []string{lb.Namespace + ".front-lb", lb.Namespace + ".front-lb-secrets"}
	o.awaitDenied(t, lb, other, bindings)

	config := cluster.Config(t)
	crds := []*apiextensionsv1.CustomResourceDefinition{grantDefinition()}
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: crds}); err != nil {
		t.Fatal(err)
	}
	o.grant(t, grantFor(other, lb.Namespace, "Service", "Secret"))
	o.awaitGranted(t, lb, other, bindings)

	// Somebody's edit in the other namespace is undone like any.
	binding, _ := get(t, o, other, bindings[1], &rbacv1.RoleBinding{})
	change(t, o, binding, func(b *rbacv1.RoleBinding) {
		b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "User", Name: "x", APIGroup: rbacv1.GroupName})
	})
	testutil.Eventually(t, soon, "the binding is repaired", func() (bool, string) {
		found, _ := get(t, o, other, bindings[1], &rbacv1.RoleBinding{})
		return len(found.Subjects) == 1, fmt.Sprint(found.Subjects)
	})

	// A restart takes nothing away for a moment: nothing is written before it is known what is granted.
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	o.start(t)
	fresh := o.balancer(t, "after")
	o.applied(t, fresh)
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.MaxConnections = 5 })
	o.awaitGranted(t, lb, other, bindings)
	for _, w := range o.requests.Writes("/namespaces/" + other + "/") {
		t.Errorf("after the restart it sent %s %s", w.Method, w.Path)
	}

	// A grant that goes takes effect at once, and the finalizer goes with the last binding.
	if err := o.client.Delete(t.Context(), grantFor(other, lb.Namespace)); err != nil {
		t.Fatal(err)
	}
	o.awaitDenied(t, lb, other, bindings)
	o.grant(t, grantFor(other, lb.Namespace, "Service"))
	o.awaitBindings(t, other, map[string]bool{bindings[0]: true, bindings[1]: false})

	// The kind itself goes, and with it all grants.
	if err := envtest.UninstallCRDs(config, envtest.CRDInstallOptions{CRDs: crds}); err != nil {
		t.Fatal(err)
	}
	o.awaitDenied(t, lb, other, bindings)
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{grantDefinition()}}); err != nil {
		t.Fatal(err)
	}
	o.grant(t, grantFor(other, lb.Namespace, "Service", "Secret"))
	o.awaitGranted(t, lb, other, bindings)

	// Deleted, it leaves nothing in other namespaces, paused or not.
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"} })
	if err := o.client.Delete(t.Context(), lb); err != nil {
		t.Fatal(err)
	}
	o.awaitBindings(t, other, map[string]bool{bindings[0]: false, bindings[1]: false})
	testutil.Eventually(t, soon, "the load balancer is gone", func() (bool, string) {
		found, there := get(t, o, lb.Namespace, lb.Name, &v1alpha1.LoadBalancer{})
		return !there, fmt.Sprintf("it has the finalizers %v", found.Finalizers)
	})
}

// grant makes a grant as soon as the API server serves the kind.
func (o *operator) grant(t *testing.T, grant *gatewayv1beta1.ReferenceGrant) {
	t.Helper()
	testutil.Eventually(t, soon, "a grant can be made", func() (bool, string) {
		err := o.client.Create(t.Context(), grant.DeepCopy())
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) && !strings.Contains(err.Error(), "no matches for kind") {
			t.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

func (o *operator) awaitGranted(t *testing.T, lb *v1alpha1.LoadBalancer, other string, bindings []string) {
	t.Helper()
	o.awaitBindings(t, other, map[string]bool{bindings[0]: true, bindings[1]: true})
	got := o.await(t, lb, "no problems", func(lb *v1alpha1.LoadBalancer) bool { return lb.Status.Problems == nil })
	text, _ := o.model(t, lb)
	if !strings.Contains(text, `"namespace":"`+other+`","name":"web"`) || !strings.Contains(text, `"namespace":"`+other+`","name":"tls"`) {
		t.Errorf("the model is %s", text)
	}
	if len(got.Finalizers) != 1 || got.Finalizers[0] != finalizer {
		t.Errorf("the finalizers are %v", got.Finalizers)
	}
}

func (o *operator) awaitDenied(t *testing.T, lb *v1alpha1.LoadBalancer, other string, bindings []string) {
	t.Helper()
	o.awaitBindings(t, other, map[string]bool{bindings[0]: false, bindings[1]: false})
	got := o.await(t, lb, "three problems, and no finalizer", func(lb *v1alpha1.LoadBalancer) bool {
		return lb.Status.Problems != nil && lb.Status.Problems.Count == 3 && len(lb.Finalizers) == 0
	})
	for _, p := range got.Status.Problems.Top {
		if p.Reason != v1alpha1.ProblemNotGranted && p.Field != "listeners[https].tls.certificates" {
			t.Errorf("a problem is %+v", p)
		}
	}
	if text, _ := o.model(t, lb); strings.Contains(text, other) {
		t.Errorf("the model is %s", text)
	}
}

// awaitBindings waits until RoleBindings of these names are there, or are not.
func (o *operator) awaitBindings(t *testing.T, namespace string, want map[string]bool) {
	t.Helper()
	for name, there := range want {
		testutil.Eventually(t, soon, fmt.Sprintf("RoleBinding %s is there: %v", name, there), func() (bool, string) {
			_, is := get(t, o, namespace, name, &rbacv1.RoleBinding{})
			return is == there, "it is not so"
		})
	}
}
