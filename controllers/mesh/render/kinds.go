// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// Kind is one kind of object that charts make.
type Kind struct {
	GVK schema.GroupVersionKind
	// Resource is the plural name in the API's paths.
	Resource   string
	Namespaced bool
	// Optional kinds are those of others; a cluster may not have them.
	Optional bool
}

func kind(gv schema.GroupVersion, name, resource string, namespaced bool) Kind {
	return Kind{GVK: gv.WithKind(name), Resource: resource, Namespaced: namespaced}
}

// Kinds are all kinds that can come out, in the order in which objects are to be made: what pods need comes before them, and webhooks, which
// need pods, come last.
func Kinds() []Kind {
	attachment := kind(schema.GroupVersion{Group: "k8s.cni.cncf.io", Version: "v1"}, "NetworkAttachmentDefinition", "network-attachment-definitions", true)
	attachment.Optional = true
	return []Kind{
		kind(schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}, "CustomResourceDefinition", "customresourcedefinitions", false),
		kind(corev1.SchemeGroupVersion, "ServiceAccount", "serviceaccounts", true),
		kind(corev1.SchemeGroupVersion, "ConfigMap", "configmaps", true),
		kind(corev1.SchemeGroupVersion, "ResourceQuota", "resourcequotas", true),
		kind(rbacv1.SchemeGroupVersion, "ClusterRole", "clusterroles", false),
		kind(rbacv1.SchemeGroupVersion, "ClusterRoleBinding", "clusterrolebindings", false),
		kind(rbacv1.SchemeGroupVersion, "Role", "roles", true),
		kind(rbacv1.SchemeGroupVersion, "RoleBinding", "rolebindings", true),
		kind(networkingv1.SchemeGroupVersion, "NetworkPolicy", "networkpolicies", true),
		attachment,
		kind(corev1.SchemeGroupVersion, "Service", "services", true),
		// Istio 1.27 has these where istiod is remote, later releases the slices.
		kind(corev1.SchemeGroupVersion, "Endpoints", "endpoints", true),
		kind(discoveryv1.SchemeGroupVersion, "EndpointSlice", "endpointslices", true),
		kind(policyv1.SchemeGroupVersion, "PodDisruptionBudget", "poddisruptionbudgets", true),
		kind(autoscalingv2.SchemeGroupVersion, "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
		kind(appsv1.SchemeGroupVersion, "Deployment", "deployments", true),
		kind(appsv1.SchemeGroupVersion, "DaemonSet", "daemonsets", true),
		kind(admissionv1.SchemeGroupVersion, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
		kind(admissionv1.SchemeGroupVersion, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false),
		kind(admissionv1.SchemeGroupVersion, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
		kind(admissionv1.SchemeGroupVersion, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
	}
}

type ranked struct {
	Kind
	rank int
}

var kinds = func() map[schema.GroupVersionKind]ranked {
	out := map[schema.GroupVersionKind]ranked{}
	for i, k := range Kinds() {
		out[k.GVK] = ranked{Kind: k, rank: i}
	}
	return out
}()

// scheme holds the types that objects get. Kinds that it lacks stay as they are written: CRDs, whose schemas are large, and those of others.
var scheme = func() *runtime.Scheme {
	out := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme,
		networkingv1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
	} {
		utilruntime.Must(add(out))
	}
	return out
}()
