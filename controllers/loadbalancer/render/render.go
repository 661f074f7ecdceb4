// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render makes the objects of a LoadBalancer. It is pure: one struct in, objects out, the same input
// renders the same bytes.
package render

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// ModelKey is the key of the ConfigMap that holds the model.
const ModelKey = "model.json"

// Labels of everything that is made for a LoadBalancer, and what selects its pods.
const (
	LabelName     = "app.kubernetes.io/name"
	LabelInstance = "app.kubernetes.io/instance"
	AppName       = "fairlead-loadbalancer"
)

// Input is everything that the objects are made from.
type Input struct {
	Namespace, Name string
	UID             types.UID
	Spec            *v1alpha1.LoadBalancerSpec
	// Model is the model as it stands in the ConfigMap.
	Model []byte
	// AgentImage is the operator's own image, HAProxyImage the one where the spec says none.
	AgentImage, HAProxyImage string
	// EndpointNamespaces and SecretNamespaces are other namespaces that replicas read in.
	EndpointNamespaces, SecretNamespaces []string
}

// Object is an object of Kubernetes.
type Object interface {
	metav1.Object
	runtime.Object
}

// ObjectName is the name of all objects of a LoadBalancer in its own namespace.
func ObjectName(name string) string { return name + "-lb" }

// Hash names a model: replicas report which one is in force by it.
func Hash(model []byte) string {
	sum := sha256.Sum256(model)
	return hex.EncodeToString(sum[:])[:16]
}

// Objects makes the complete desired set. What pods need comes before the Deployment that makes them.
func Objects(in Input) []Object {
	out := []Object{in.serviceAccount(), in.configMap(), in.roleBinding(), in.networkPolicy(), in.disruptionBudget()}
	if in.Spec.Scaling.MaxReplicas > 0 {
		out = append(out, in.autoscaler())
	}
	out = append(out, in.service())
	out = append(out, in.foreignBindings()...)
	return append(out, in.deployment())
}

// labels are those of all objects.
func (in *Input) labels() map[string]string {
	out := in.selector()
	out[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	return out
}

// selector picks the pods.
func (in *Input) selector() map[string]string {
	return map[string]string{LabelName: AppName, LabelInstance: in.Name}
}

// meta is that of an object in the load balancer's namespace, which goes with it.
func (in *Input) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: in.Namespace, Name: ObjectName(in.Name), Labels: in.labels(),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "LoadBalancer", Name: in.Name, UID: in.UID, Controller: new(true),
		}},
	}
}

// annotations are those a person asks for, but for Fairlead's own, which are marks.
func annotations(asked map[string]v1alpha1.AnnotationValue) map[string]string {
	out := map[string]string{}
	for key, value := range maps.All(asked) {
		if !reserved(key) {
			out[key] = string(value)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
