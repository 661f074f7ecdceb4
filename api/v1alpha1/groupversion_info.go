// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the kinds of the API group fleet.fairlead.io.
//
// +kubebuilder:object:generate=true
// +groupName=fleet.fairlead.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "fleet.fairlead.io", Version: "v1alpha1"}

	// SchemeBuilder collects the functions that add the kinds to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the kinds of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&LimitPolicy{}, &LimitPolicyList{},
		&LoadBalancer{}, &LoadBalancerList{},
		&AgentReport{}, &AgentReportList{},
		&Mesh{}, &MeshList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
