// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ServiceTemplate is the Service in front of the replicas.
//
// +kubebuilder:validation:XValidation:rule=`self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)`,message=`externalTrafficPolicy is for types LoadBalancer and NodePort`
// +kubebuilder:validation:XValidation:rule=`self.type == 'LoadBalancer' || !has(self.loadBalancerClass)`,message=`loadBalancerClass is for type LoadBalancer`,messageExpression=`'loadBalancerClass is for type LoadBalancer, not for ' + self.type`
type ServiceTemplate struct {
	// type is LoadBalancer, NodePort or ClusterIP.
	// +optional
	// +default="LoadBalancer"
	// +kubebuilder:validation:Enum=LoadBalancer;NodePort;ClusterIP
	Type corev1.ServiceType `json:"type,omitempty"`

	// annotations of the Service, for whoever gives it its address. Values are taken literally.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule=`!self.exists(k, size(k) > 253 || !k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))`,message=`a key of annotations is not one: write name or domain/name, at most 253 characters`,messageExpression=`self.map(k, size(k) > 253 || !k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'), '"' + k + '" in annotations is not a key: write name or domain/name, at most 253 characters')[0]`
	// +kubebuilder:validation:XValidation:rule=`!self.exists(k, k.startsWith('fleet.fairlead.io/'))`,message=`annotations of fleet.fairlead.io/ are Fairlead's own`
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// externalTrafficPolicy is Local to keep clients' addresses and to send traffic only to nodes with a replica, or
	// Cluster. Unset is Local, and not for ClusterIP.
	// +optional
	// +kubebuilder:validation:Enum=Local;Cluster
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// loadBalancerClass is who gives the Service its address, where several could.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`
}

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=1024
type AnnotationValue string

// PodTemplate is how a replica runs.
type PodTemplate struct {
	// image of HAProxy, 2.6 to 3.2; unset for the operator's setting.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9][-a-zA-Z0-9._/:@]*$`
	Image string `json:"image,omitempty"`

	// resources of HAProxy's container. Unset requests 100m CPU and 128Mi, and limits nothing.
	// +optional
	Resources *ContainerResources `json:"resources,omitempty"`

	// nodeSelector picks the nodes for replicas by their labels.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`!self.exists(k, size(k) > 253 || !k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))`,message=`a key of nodeSelector is not a label key: write name or domain/name, at most 253 characters`,messageExpression=`self.map(k, size(k) > 253 || !k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'), '"' + k + '" in nodeSelector is not a label key: write name or domain/name, at most 253 characters')[0]`
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations let replicas run on tainted nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:XValidation:rule=`!has(self.operator) || self.operator in ['Exists', 'Equal']`,message=`operator must be Exists or Equal`
	// +kubebuilder:validation:items:XValidation:rule=`has(self.key) && size(self.key) > 0 || has(self.operator) && self.operator == 'Exists'`,message=`a toleration without key needs operator Exists`
	// +kubebuilder:validation:items:XValidation:rule=`!has(self.operator) || self.operator != 'Exists' || !has(self.value) || size(self.value) == 0`,message=`operator Exists takes no value`
	// +kubebuilder:validation:items:XValidation:rule=`!has(self.effect) || self.effect in ["", 'NoSchedule', 'PreferNoSchedule', 'NoExecute']`,message=`effect must be NoSchedule, PreferNoSchedule or NoExecute`
	// +kubebuilder:validation:items:XValidation:rule=`!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'`,message=`tolerationSeconds is for effect NoExecute`
	// +kubebuilder:validation:items:XValidation:rule=`(!has(self.key) || size(self.key) <= 253) && (!has(self.value) || size(self.value) <= 63)`,message=`key has at most 253 characters, and value 63`
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// spread are the topology keys over which replicas are spread evenly where that is possible. Unset is by node and by zone.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	Spread []string `json:"spread,omitempty"`

	// priorityClassName of replicas.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// imagePullSecrets are names of Secrets that images are pulled with.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
}

// ContainerResources are what a container asks for and may use at most; they are a core/v1 ResourceRequirements with
// quantities as strings. Resources are cpu, memory and ephemeral-storage.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.requests) || self.requests.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])`,message=`requests are of cpu, memory and ephemeral-storage`
// +kubebuilder:validation:XValidation:rule=`!has(self.limits) || self.limits.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])`,message=`limits are of cpu, memory and ephemeral-storage`
// +kubebuilder:validation:XValidation:rule=`!has(self.requests) || !has(self.limits) || !self.requests.exists(k, k in self.limits && [self.requests[k], self.limits[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.requests[k]).isGreaterThan(quantity(self.limits[k])))`,message=`a request is greater than its limit`,messageExpression=`self.requests.map(k, k in self.limits && [self.requests[k], self.limits[k]].all(s, s.matches('^[0-9.]+[A-Za-z]*$') && isQuantity(s)) && quantity(self.requests[k]).isGreaterThan(quantity(self.limits[k])), 'requests[' + k + '] ' + self.requests[k] + ' is greater than limits[' + k + '] ' + self.limits[k])[0]`
type ContainerResources struct {
	// requests are what a node must have free.
	// +optional
	Requests Amounts `json:"requests,omitempty"`
	// limits are the most that is used.
	// +optional
	Limits Amounts `json:"limits,omitempty"`
}

// ResourceRequirements returns the resources in the form that a container takes. The error names an amount that is none,
// which the API server refuses.
func (r *ContainerResources) ResourceRequirements() (corev1.ResourceRequirements, error) {
	var out corev1.ResourceRequirements
	if r == nil {
		return out, nil
	}
	var errs [2]error
	out.Requests, errs[0] = resourceList(r.Requests)
	out.Limits, errs[1] = resourceList(r.Limits)
	return out, errors.Join(errs[:]...)
}

func resourceList(amounts Amounts) (corev1.ResourceList, error) {
	if amounts == nil {
		return nil, nil
	}
	out := make(corev1.ResourceList, len(amounts))
	for name, amount := range amounts {
		quantity, err := resource.ParseQuantity(string(amount))
		if err != nil {
			return nil, fmt.Errorf("amount of %s: %w", name, err)
		}
		out[name] = quantity
	}
	return out, nil
}
