// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/loadbalancer/render"
)

// Kinds are the kinds that the controllers write. A cluster has many of them that are not ours, so the caches hold
// ours alone; but autoscalers of anybody count.
func Kinds() []apply.Kind {
	return []apply.Kind{
		{GVK: appsv1.SchemeGroupVersion.WithKind("Deployment"), Resource: "deployments", Selective: true},
		{GVK: corev1.SchemeGroupVersion.WithKind("Service"), Resource: "services", Selective: true},
		{GVK: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Resource: "configmaps", Selective: true},
		{GVK: corev1.SchemeGroupVersion.WithKind("ServiceAccount"), Resource: "serviceaccounts", Selective: true},
		{GVK: roleBindings, Resource: "rolebindings", Selective: true},
		{GVK: policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"), Resource: "poddisruptionbudgets", Selective: true},
		{GVK: networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"), Resource: "networkpolicies", Selective: true},
		{GVK: autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"), Resource: "horizontalpodautoscalers"},
	}
}

var roleBindings = rbacv1.SchemeGroupVersion.WithKind("RoleBinding")

// CacheOptions cut Services, of which a cluster has many, down to what a reference to a port looks at.
func CacheOptions() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&corev1.Service{}: {Transform: trimService}}
}

func ofLoadBalancers() labels.Selector {
	return labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, render.LabelName: render.AppName})
}

func trimService(obj any) (any, error) {
	service, ok := obj.(*corev1.Service)
	if !ok {
		return obj, nil
	}
	service.ObjectMeta = identity(&service.ObjectMeta)
	ports := make([]corev1.ServicePort, 0, len(service.Spec.Ports))
	for _, p := range service.Spec.Ports {
		ports = append(ports, corev1.ServicePort{Name: p.Name, Port: p.Port, Protocol: p.Protocol})
	}
	service.Spec = corev1.ServiceSpec{Type: service.Spec.Type, ClusterIP: service.Spec.ClusterIP, Ports: ports}
	service.Status = corev1.ServiceStatus{}
	return service, nil
}

func trimOwnService(obj any) (any, error) {
	service, ok := obj.(*corev1.Service)
	if !ok {
		return obj, nil
	}
	service.ObjectMeta = identity(&service.ObjectMeta)
	service.Spec = corev1.ServiceSpec{Type: service.Spec.Type, ClusterIP: service.Spec.ClusterIP, ClusterIPs: service.Spec.ClusterIPs}
	service.Status = corev1.ServiceStatus{LoadBalancer: service.Status.LoadBalancer}
	return service, nil
}

func trimDeployment(obj any) (any, error) {
	deployment, ok := obj.(*appsv1.Deployment)
	if !ok {
		return obj, nil
	}
	deployment.ObjectMeta = identity(&deployment.ObjectMeta)
	deployment.Spec = appsv1.DeploymentSpec{Replicas: deployment.Spec.Replicas}
	deployment.Status.Conditions = nil
	return deployment, nil
}

// identity is what tells one object and its version from another.
func identity(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
		Generation: meta.Generation, DeletionTimestamp: meta.DeletionTimestamp,
	}
}
