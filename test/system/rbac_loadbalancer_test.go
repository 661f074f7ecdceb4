// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package system

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// ownPod gives the name of a pod that the operator's Deployment has made.
func ownPod(t *testing.T) string {
	t.Helper()
	var pods corev1.PodList
	eventually(t, "the operator's Deployment has a pod", func(ctx context.Context) (bool, error) {
		err := suite.client.List(ctx, &pods, client.InNamespace(operatorNamespace), client.MatchingLabels{"control-plane": "controller-manager"})
		return len(pods.Items) > 0, err
	})
	return pods.Items[0].Name
}

// madeForLoadBalancers are the kinds that a load balancer has, with one field to break of each.
func madeForLoadBalancers() map[permission]struct {
	object client.Object
	patch  string
} {
	type made = struct {
		object client.Object
		patch  string
	}
	return map[permission]made{
		{"get", "apps", "deployments"}:                       {&appsv1.Deployment{}, `{"spec":{"paused":true}}`},
		{"get", "", "services"}:                              {&corev1.Service{}, `{"spec":{"selector":{"x":"y"}}}`},
		{"get", "", "configmaps"}:                            {&corev1.ConfigMap{}, `{"data":{"x":"y"}}`},
		{"get", "", "serviceaccounts"}:                       {&corev1.ServiceAccount{}, `{"automountServiceAccountToken":true}`},
		{"get", "policy", "poddisruptionbudgets"}:            {&policyv1.PodDisruptionBudget{}, `{"spec":{"maxUnavailable":2}}`},
		{"get", "networking.k8s.io", "networkpolicies"}:      {&networkingv1.NetworkPolicy{}, `{"spec":{"ingress":null}}`},
		{"get", "rbac.authorization.k8s.io", "rolebindings"}: {&rbacv1.RoleBinding{}, `{"subjects":null}`},
		{"get", "autoscaling", "horizontalpodautoscalers"}:   {&autoscalingv2.HorizontalPodAutoscaler{}, `{"spec":{"maxReplicas":9}}`},
	}
}

// doEverythingForLoadBalancers makes the operator create, repair, read again and prune every kind that a load balancer
// has, and bind roles in another namespace.
func doEverythingForLoadBalancers(t *testing.T, user string) {
	ctx := t.Context()
	for _, name := range []string{"rbac-lb", "rbac-other"} {
		create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	definition := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "referencegrants.gateway.networking.k8s.io",
			Annotations: map[string]string{"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/4538"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "gateway.networking.k8s.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "ReferenceGrant", ListKind: "ReferenceGrantList", Plural: "referencegrants", Singular: "referencegrant"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1beta1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: new(true)}},
			}},
		},
	}
	crds := envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{definition}}
	if _, err := envtest.InstallCRDs(suite.plane.Config(), crds); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := envtest.UninstallCRDs(suite.plane.Config(), crds); err != nil {
			t.Error(err)
		}
	})
	create(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "rbac-other", Name: "web"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}})
	grant := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": map[string]any{"namespace": "rbac-other", "name": "lb"},
		"spec": map[string]any{
			"from": []any{map[string]any{"group": "fleet.fairlead.io", "kind": "LoadBalancer", "namespace": "rbac-lb"}},
			"to":   []any{map[string]any{"group": "", "kind": "Service"}, map[string]any{"group": "", "kind": "Secret"}},
		},
	}}
	eventually(t, "a grant can be made", func(ctx context.Context) (bool, error) {
		err := suite.client.Create(ctx, grant.DeepCopy())
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	lb := loadBalancer()
	create(t, lb)
	eventually(t, "agents may read in the other namespace", func(ctx context.Context) (bool, error) {
		var bindings rbacv1.RoleBindingList
		err := suite.client.List(ctx, &bindings, client.InNamespace("rbac-other"))
		return len(bindings.Items) == 2, err
	})
	applied(t, lb)
	for read, made := range madeForLoadBalancers() {
		breakAndRace(t, user, read, made.object, made.patch)
	}
	applied(t, lb)
	if err := suite.client.Delete(ctx, lb); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the load balancer goes", func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), lb)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

func loadBalancer() *v1alpha1.LoadBalancer {
	return &v1alpha1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "rbac-lb", Name: "front"},
		Spec: v1alpha1.LoadBalancerSpec{
			Scaling: v1alpha1.Scaling{MaxReplicas: 3},
			Service: v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeClusterIP},
			Listeners: []v1alpha1.Listener{{
				Name: "https", Port: 443, Protocol: v1alpha1.ProtocolHTTPS,
				TLS: &v1alpha1.ListenerTLS{Certificates: []v1alpha1.SecretReference{{SecretName: "tls", Namespace: "rbac-other"}}},
			}},
			Pools:  []v1alpha1.Pool{{Name: "web", Members: []v1alpha1.Member{{Service: &v1alpha1.ServiceReference{Name: "web", Namespace: "rbac-other"}}}}},
			Routes: []v1alpha1.Route{{Name: "all", Action: v1alpha1.Action{Pool: "web"}}},
		},
	}
}

// applied waits until nothing but replicas is missing.
func applied(t *testing.T, lb *v1alpha1.LoadBalancer) {
	t.Helper()
	eventually(t, "the load balancer's objects are in force", func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), lb)
		ready := meta.FindStatusCondition(lb.Status.Conditions, v1alpha1.ConditionReady)
		return err == nil && ready != nil && ready.Reason == v1alpha1.ReasonUnavailable && lb.Status.Problems == nil, err
	})
}

// breakAndRace changes an object, waits for its repair, and then makes the operator read it.
func breakAndRace(t *testing.T, user string, read permission, object client.Object, patch string) {
	t.Helper()
	object.SetNamespace("rbac-lb")
	object.SetName("front-lb")
	if err := suite.client.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
	edited := object.GetResourceVersion()
	eventually(t, read.resource+" is repaired", func(ctx context.Context) (bool, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(object), object)
		return err == nil && object.GetResourceVersion() != edited, client.IgnoreNotFound(err)
	})
	eventually(t, "the operator reads "+read.resource, func(ctx context.Context) (bool, error) {
		fresh := object.DeepCopyObject().(client.Object)
		fresh.SetUID("")
		fresh.SetResourceVersion("")
		fresh.SetManagedFields(nil)
		fresh.SetAnnotations(map[string]string{v1alpha1.AnnotationAdopt: "true"})
		if service, ok := fresh.(*corev1.Service); ok {
			service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
		}
		for range 10 {
			if err := client.IgnoreNotFound(suite.client.Delete(ctx, object)); err != nil {
				return false, err
			}
			// The operator may be faster; what it then meets is its own.
			_ = suite.client.Create(ctx, fresh.DeepCopyObject().(client.Object))
		}
		used, _ := audited(t, user)
		return used[read], nil
	})
}
