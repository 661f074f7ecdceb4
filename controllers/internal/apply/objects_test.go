// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var (
	limitRanges     = kindOf(corev1.SchemeGroupVersion, "LimitRange", "limitranges")
	quotas          = kindOf(corev1.SchemeGroupVersion, "ResourceQuota", "resourcequotas")
	configMaps      = kindOf(corev1.SchemeGroupVersion, "ConfigMap", "configmaps")
	secrets         = kindOf(corev1.SchemeGroupVersion, "Secret", "secrets")
	services        = kindOf(corev1.SchemeGroupVersion, "Service", "services")
	serviceAccounts = kindOf(corev1.SchemeGroupVersion, "ServiceAccount", "serviceaccounts")
	deployments     = kindOf(appsv1.SchemeGroupVersion, "Deployment", "deployments")
	roles           = kindOf(rbacv1.SchemeGroupVersion, "Role", "roles")
	roleBindings    = kindOf(rbacv1.SchemeGroupVersion, "RoleBinding", "rolebindings")
	clusterRoles    = kindOf(rbacv1.SchemeGroupVersion, "ClusterRole", "clusterroles")
	hpas            = kindOf(autoscalingv2.SchemeGroupVersion, "HorizontalPodAutoscaler", "horizontalpodautoscalers")
	pdbs            = kindOf(policyv1.SchemeGroupVersion, "PodDisruptionBudget", "poddisruptionbudgets")
	networkPolicies = kindOf(networkingv1.SchemeGroupVersion, "NetworkPolicy", "networkpolicies")
)

func kindOf(gv schema.GroupVersion, kind, plural string) Kind {
	return Kind{GVK: gv.WithKind(kind), Resource: plural}
}

// selective gives the kinds with caches that hold only what bears our label.
func selective(kinds ...Kind) []Kind {
	out := make([]Kind, len(kinds))
	for i, kind := range kinds {
		kind.Selective = true
		out[i] = kind
	}
	return out
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}
}

func resources(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func limitRange(namespace, name string) client.Object {
	return &corev1.LimitRange{ObjectMeta: named(namespace, name), Spec: corev1.LimitRangeSpec{
		Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Max: resources("memory", "512Mi"), Min: resources("memory", "256Mi"),
		}},
	}}
}

func resourceQuota(namespace, name string) client.Object {
	return &corev1.ResourceQuota{ObjectMeta: named(namespace, name), Spec: corev1.ResourceQuotaSpec{
		Hard: resources("persistentvolumeclaims", "10", "requests.storage", "10Gi"),
	}}
}

func configMap(namespace, name string) client.Object {
	return &corev1.ConfigMap{ObjectMeta: named(namespace, name), Data: map[string]string{"a": "1", "b": "2"}}
}

func service(namespace, name string) client.Object {
	return &corev1.Service{ObjectMeta: named(namespace, name), Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name, "tier": "edge"},
		Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
}

func serviceAccount(namespace, name string) client.Object {
	return &corev1.ServiceAccount{ObjectMeta: named(namespace, name), AutomountServiceAccountToken: ptr.To(false)}
}

func deployment(namespace, name string) client.Object {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: named(namespace, name), Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "app", Image: "example.com/app:1", Env: []corev1.EnvVar{{Name: "A", Value: "1"}},
				Resources: corev1.ResourceRequirements{Requests: resources("cpu", "10m")},
			}}},
		},
	}}
}

func rules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"a"}, Verbs: []string{"get", "list"},
	}}
}

func role(namespace, name string) client.Object {
	return &rbacv1.Role{ObjectMeta: named(namespace, name), Rules: rules()}
}

func clusterRole(_, name string) client.Object {
	return &rbacv1.ClusterRole{ObjectMeta: named("", name), Rules: rules()}
}

func roleBinding(namespace, name string) client.Object {
	return &rbacv1.RoleBinding{
		ObjectMeta: named(namespace, name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "a", Namespace: namespace}},
	}
}

func hpa(namespace, name string) client.Object {
	return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: named(namespace, name), Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
		MinReplicas:    ptr.To[int32](2), MaxReplicas: 5,
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "load", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: ptr.To(resource.MustParse("10"))},
		}}},
	}}
}

func pdb(namespace, name string) client.Object {
	return &policyv1.PodDisruptionBudget{ObjectMeta: named(namespace, name), Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: ptr.To(intstr.FromInt32(1)),
		Selector: &metav1.LabelSelector{
			MatchLabels:      map[string]string{"app": name},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpExists}},
		},
		UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
	}}
}

func networkPolicy(namespace, name string) client.Object {
	return &networkingv1.NetworkPolicy{ObjectMeta: named(namespace, name), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt32(80))}},
		}},
	}}
}
