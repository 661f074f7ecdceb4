// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
)

// standardResources are the names without a domain that any list of resources may hold.
var standardResources = sets.New(
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceStorage, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsStorage,
	corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
	corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers,
	corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
	corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers,
)

// containerResources are those of them that a container can ask for.
var containerResources = sets.New(corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)

// resourceNameProblem says why an item of the type may not bound the resource; empty if it may.
func resourceNameProblem(limitType corev1.LimitType, name corev1.ResourceName) string {
	if problems := validation.IsQualifiedName(string(name)); len(problems) > 0 {
		return strings.Join(problems, "; ")
	}
	qualified := strings.Contains(string(name), "/")
	quotaHugePages := strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
	if !qualified && !standardResources.Has(name) && !hugePages(name) && !quotaHugePages {
		return "must be a standard resource type or fully qualified"
	}
	if limitType != corev1.LimitTypeContainer && limitType != corev1.LimitTypePod {
		return ""
	}
	if !qualified && !containerResources.Has(name) && !hugePages(name) {
		return "must be a standard resource for containers"
	}
	if !native(name) && !extended(name) {
		return "doesn't follow extended resource name standard"
	}
	return ""
}

// limitTypeProblem says why the type may not stand in a LimitRange; empty if it may.
func limitTypeProblem(limitType corev1.LimitType) string {
	if problems := validation.IsQualifiedName(string(limitType)); len(problems) > 0 {
		return strings.Join(problems, "; ")
	}
	switch limitType {
	case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
		return ""
	}
	if !strings.Contains(string(limitType), "/") {
		return "must be a standard limit type or fully qualified"
	}
	return ""
}

// hugePages tells whether the resource is a size of huge pages.
func hugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// native tells whether the resource is Kubernetes' own, not one that a device plugin or a node advertises.
func native(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") ||
		strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// extended tells whether the resource is one that a device plugin or a node may advertise. Its name must
// leave room for the prefix that a quota puts before it.
func extended(name corev1.ResourceName) bool {
	if native(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// overcommit tells whether a limit may differ from the request.
func overcommit(name corev1.ResourceName) bool {
	return native(name) && !hugePages(name)
}

// podLevel tells whether spec.resources of a pod may hold the resource.
func podLevel(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || hugePages(name)
}
