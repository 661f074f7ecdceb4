// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	containerInstall = "install"
	containerHAProxy = "haproxy"
	containerAgent   = "agent"

	// nobody is the user and group of all containers.
	nobody = 65532

	defaultDrain = 5 * time.Minute
	// margin is what a replica takes to end beside draining: nodes forget it first.
	margin = 30 * time.Second
)

func (in *Input) deployment() *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: in.meta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(replicas(in.Spec.Scaling)),
			Selector: &metav1.LabelSelector{MatchLabels: in.selector()},
			// A replica goes when another one serves in its place.
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromString("25%")),
				},
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: in.labels()}, Spec: in.pod()},
		},
	}
}

// pod holds nothing that changes with the model: a new model never rolls pods.
func (in *Input) pod() corev1.PodSpec {
	asked := in.Spec.Pod
	out := corev1.PodSpec{
		ServiceAccountName:            ObjectName(in.Name),
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: new(int64((in.drainTimeout() + margin) / time.Second)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(nobody)), RunAsGroup: new(int64(nobody)), FSGroup: new(int64(nobody)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		InitContainers:            []corev1.Container{in.install()},
		Containers:                []corev1.Container{in.haproxy(), in.agent()},
		Volumes:                   volumes(),
		TopologySpreadConstraints: in.spread(),
		PriorityClassName:         asked.PriorityClassName,
		Tolerations:               slices.Clone(asked.Tolerations),
	}
	if len(asked.NodeSelector) > 0 {
		out.NodeSelector = map[string]string{}
		for key, value := range maps.All(asked.NodeSelector) {
			out.NodeSelector[key] = string(value)
		}
	}
	for _, name := range asked.ImagePullSecrets {
		out.ImagePullSecrets = append(out.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	return out
}

// drainTimeout is that of the model: 5 minutes where the spec's cannot be used.
func (in *Input) drainTimeout() time.Duration {
	got, err := time.ParseDuration(string(in.Spec.DrainTimeout))
	if err != nil || got < time.Second || got > time.Hour {
		return defaultDrain
	}
	return got
}

// spread asks for it and does not insist: a replica that cannot be placed serves nobody. Without the template's hash a
// rolling update would count the pods that are on their way out.
func (in *Input) spread() []corev1.TopologySpreadConstraint {
	keys := in.Spec.Pod.Spread
	if len(keys) == 0 {
		keys = []string{corev1.LabelHostname, corev1.LabelTopologyZone}
	}
	out := make([]corev1.TopologySpreadConstraint, 0, len(keys))
	for _, key := range keys {
		out = append(out, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector:  &metav1.LabelSelector{MatchLabels: in.selector()},
			MatchLabelKeys: []string{appsv1.DefaultDeploymentUniqueLabelKey},
		})
	}
	return out
}

// containerPorts do not name listeners: the list binds nothing, and a new listener would replace all pods.
func containerPorts() []corev1.ContainerPort {
	return []corev1.ContainerPort{
		{Name: "health", ContainerPort: PortHealth, Protocol: corev1.ProtocolTCP},
		{Name: "peers", ContainerPort: PortPeers, Protocol: corev1.ProtocolTCP},
	}
}

func (in *Input) haproxyImage() string { return cmp.Or(in.Spec.Pod.Image, in.HAProxyImage) }
