// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check says what a namespace's LimitRange would do to a pod, a workload template or a claim
// if it were created now: the verdict of the API server, without asking it.
//
// It follows the API server's own order: core/v1 defaults, the LimitRanger plugin's defaults, the pod-level
// defaults of Kubernetes 1.37, then validation and the plugin's limits. The package is pure: it reads no
// cluster and no clock, and never writes to its input. The module test/oracle holds it to the real plugin.
package check

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Bound is the field of a LimitRangeItem that a rule stands in, by its JSON name.
type Bound string

// The bounds of a LimitRangeItem.
const (
	Max                  Bound = "max"
	Min                  Bound = "min"
	Default              Bound = "default"
	DefaultRequest       Bound = "defaultRequest"
	MaxLimitRequestRatio Bound = "maxLimitRequestRatio"
)

// Rule names one quantity of a LimitRange.
type Rule struct {
	Type     corev1.LimitType
	Bound    Bound
	Resource corev1.ResourceName
}

// String gives the rule's place below a LimitRange's spec, with the item's type for its index:
// "limits[Container].max[memory]".
func (r Rule) String() string {
	return "limits[" + string(r.Type) + "]." + string(r.Bound) + "[" + string(r.Resource) + "]"
}

// Effect is what a rule does to an object.
type Effect string

const (
	// Refused means that the API server would answer with an error.
	Refused Effect = "Refused"
	// Changed means that the API server would fill in a value.
	Changed Effect = "Changed"
)

// Finding is one thing that one rule would do to one object.
type Finding struct {
	// Rule is the one to blame. A Refused finding whose bound is Default or DefaultRequest means that
	// the value which the rule fills in makes the pod invalid, such as a limit below the request.
	Rule Rule
	// Effect tells a refusal from a change.
	Effect Effect
	// Container is the container or init container concerned; empty for a pod as a whole and for a claim.
	Container string
	// Message is in the API server's own words for a refusal; for a change it says what is set to what.
	Message string
	// Value is what a change fills in, as a limit (bound Default) or a request (bound DefaultRequest).
	Value resource.Quantity
}

// AnyRefused tells whether one of the findings would keep the object from being created.
// Without one, the changes among the findings are what would happen to it.
func AnyRefused(findings []Finding) bool {
	for i := range findings {
		if findings[i].Effect == Refused {
			return true
		}
	}
	return false
}
