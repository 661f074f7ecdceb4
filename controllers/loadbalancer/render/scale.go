// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

const (
	defaultReplicas    = 2
	defaultUtilization = 70
)

var (
	defaultCPU    = resource.MustParse("100m")
	defaultMemory = resource.MustParse("128Mi")
)

// replicas are how many there should be; with an autoscaler, how many to begin with.
func replicas(s v1alpha1.Scaling) int32 {
	if s.MaxReplicas > 0 {
		return min(cmp.Or(s.MinReplicas, defaultReplicas), s.MaxReplicas)
	}
	return cmp.Or(s.Replicas, defaultReplicas)
}

// disruptionBudget lets one replica go at a time. It is maxUnavailable also for a single replica: minAvailable: 1
// would keep its node from ever being drained, and with one replica a gap is what was asked for. One that does not
// serve anyway is never in the way.
func (in *Input) disruptionBudget() *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: in.meta(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             new(intstr.FromInt32(1)),
			Selector:                   &metav1.LabelSelector{MatchLabels: in.selector()},
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}

// autoscaler goes by the CPU of HAProxy's container alone: what the agent does beside it says nothing of traffic.
func (in *Input) autoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	s := in.Spec.Scaling
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: in.meta(),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: ObjectName(in.Name)},
			MinReplicas:    new(replicas(s)),
			MaxReplicas:    s.MaxReplicas,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ContainerResourceMetricSourceType,
				ContainerResource: &autoscalingv2.ContainerResourceMetricSource{
					Container: containerHAProxy,
					Name:      corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{
						Type:               autoscalingv2.UtilizationMetricType,
						AverageUtilization: new(cmp.Or(s.TargetCPUUtilization, defaultUtilization)),
					},
				},
			}},
		},
	}
}

// resources are those of HAProxy's container; those of the spec are not taken where one is no quantity. An autoscaler
// cannot work without a request for CPU, so there is always one then.
func (in *Input) resources() corev1.ResourceRequirements {
	out, err := in.Spec.Pod.Resources.ResourceRequirements()
	if in.Spec.Pod.Resources == nil || err != nil {
		return corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: defaultCPU, corev1.ResourceMemory: defaultMemory},
		}
	}
	_, requested := out.Requests[corev1.ResourceCPU]
	_, limited := out.Limits[corev1.ResourceCPU]
	if in.Spec.Scaling.MaxReplicas > 0 && !requested && !limited {
		if out.Requests == nil {
			out.Requests = corev1.ResourceList{}
		}
		out.Requests[corev1.ResourceCPU] = defaultCPU
	}
	return out
}
