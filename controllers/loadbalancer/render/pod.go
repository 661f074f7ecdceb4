// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Folders and volumes of a pod.
const (
	runFolder   = "/run/fairlead"
	binFolder   = "/opt/fairlead"
	tokenFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

	volumeRun   = "run"
	volumeBin   = "bin"
	volumeToken = "token"

	// tokenSeconds is what the API server itself gives mounted tokens; the kubelet renews them in time.
	tokenSeconds = 3607
)

var (
	runSize     = resource.MustParse("64Mi")
	agentCPU    = resource.MustParse("10m")
	agentMemory = resource.MustParse("32Mi")
)

func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func agentResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: agentCPU, corev1.ResourceMemory: agentMemory}}
}

// install copies the supervisor to where HAProxy's container finds it.
func (in *Input) install() corev1.Container {
	return corev1.Container{
		Name: containerInstall, Image: in.AgentImage,
		Command:         []string{"/fairlead-proxy", "install", binFolder},
		Resources:       agentResources(),
		SecurityContext: restricted(),
		VolumeMounts:    []corev1.VolumeMount{{Name: volumeBin, MountPath: binFolder}},
	}
}

// haproxy has no token, and of the supervisor the right to run it.
func (in *Input) haproxy() corev1.Container {
	return corev1.Container{
		Name: containerHAProxy, Image: in.haproxyImage(),
		Command:   []string{binFolder + "/fairlead-proxy", "run", "--dir=" + runFolder},
		Ports:     containerPorts(),
		Resources: in.resources(),
		// HAProxy begins with the first configuration, and that may take its time. Until then it is not alive in the
		// probe's eyes, and killing it would not help; the agent's readiness keeps traffic away.
		StartupProbe: probe("/healthz", PortHealth, corev1.Probe{PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 3600}),
		// A process that is busy answers late: only one that is silent for a minute is killed, with all its streams.
		LivenessProbe:   probe("/healthz", PortHealth, corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6}),
		SecurityContext: restricted(),
		VolumeMounts: []corev1.VolumeMount{
			{Name: volumeRun, MountPath: runFolder},
			{Name: volumeBin, MountPath: binFolder, ReadOnly: true},
		},
	}
}

func (in *Input) agent() corev1.Container {
	return corev1.Container{
		Name: containerAgent, Image: in.AgentImage,
		Command: []string{"/fairlead", "agent", "--dir=" + runFolder, "--load-balancer=" + in.Name},
		Env: []corev1.EnvVar{
			field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace"), field("POD_UID", "metadata.uid"),
			field("POD_IP", "status.podIP"), field("NODE_NAME", "spec.nodeName"),
		},
		Ports:     []corev1.ContainerPort{{Name: containerAgent, ContainerPort: PortAgent, Protocol: corev1.ProtocolTCP}},
		Resources: agentResources(),
		// Every second: a replica takes part as soon as it can, and is left out as soon as it cannot.
		ReadinessProbe: probe("/readyz", PortAgent, corev1.Probe{PeriodSeconds: 1}),
		// Without the agent HAProxy goes on with what it has, so there is no hurry.
		LivenessProbe:   probe("/healthz", PortAgent, corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6}),
		SecurityContext: restricted(),
		VolumeMounts: []corev1.VolumeMount{
			{Name: volumeRun, MountPath: runFolder},
			{Name: volumeToken, MountPath: tokenFolder, ReadOnly: true},
		},
	}
}

func probe(path string, port int32, how corev1.Probe) *corev1.Probe {
	how.ProbeHandler = corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port)}}
	return &how
}

func field(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

// volumes are in memory where they hold keys of certificates. The token is one like Kubernetes mounts by itself, for
// the one container that needs it.
func volumes() []corev1.Volume {
	return []corev1.Volume{
		{Name: volumeRun, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &runSize}}},
		{Name: volumeBin, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: volumeToken, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(tokenSeconds))}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}},
			}}},
		}}}},
	}
}
