// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package workloads

import (
	"encoding/json"
	"regexp"
	"strings"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

// What Istio reads from pods and writes on them.
const (
	// keyInject is the label, or older the annotation, that lets a pod have a proxy or not.
	keyInject = "sidecar.istio.io/inject"
	// keyRevision is the label that asks for a revision, and the annotation that says which one it was.
	keyRevision  = "istio.io/rev"
	keyDataplane = "istio.io/dataplane-mode"
	// keyGateway is on the pods that istiod makes for a Gateway of the Gateway API. Whichever istiod has the Gateway keeps
	// them up to date.
	keyGateway = "gateway.istio.io/managed"
	// keyInjected is the annotation of each pod that was given a proxy: JSON, with the revision in it.
	keyInjected = "sidecar.istio.io/status"
	// keyProxyImage and keyOverrides are annotations: the image that somebody chose for the proxy, and the containers of
	// the pod itself that were laid over those of the proxy.
	keyProxyImage = "sidecar.istio.io/proxyImage"
	keyOverrides  = "proxy.istio.io/overrides"

	containerProxy = "istio-proxy"
	// noRevision is what a control plane without a revision calls itself.
	noRevision = "default"
)

// labelMesh is on what Fairlead makes for a mesh.
const labelMesh = "fleet.fairlead.io/mesh"

func trimPod(p *corev1.Pod) *pod {
	return &pod{objectOf(p), podFacts{
		owner:      ownerOf(p),
		template:   unique.Make(p.Labels[appsv1.ControllerRevisionHashLabelKey]),
		proxy:      unique.Make(proxyOf(p)),
		ready:      isReady(p),
		terminates: p.DeletionTimestamp != nil,
		wants:      wants(&p.ObjectMeta, &p.Spec),
		ours:       p.Labels[labelMesh] != "",
	}}
}

func isReady(p *corev1.Pod) bool {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// wants is whether istiod, asked by a namespace, gives such a pod a proxy.
func wants(meta *metav1.ObjectMeta, spec *corev1.PodSpec) bool {
	inject, labelled := meta.Labels[keyInject]
	if !labelled {
		inject = meta.Annotations[keyInject]
	}
	_, mirror := meta.Annotations[corev1.MirrorPodAnnotationKey]
	_, gateway := meta.Labels[keyGateway]
	return inject != "false" && !spec.HostNetwork && meta.Labels[keyDataplane] != "ambient" && !gateway && !mirror
}

// proxyOf is the proxy of a pod, zero for none. A pod with a proxy has a revision.
func proxyOf(p *corev1.Pod) rollout.Proxy {
	status, injected := p.Annotations[keyInjected]
	if _, gateway := p.Labels[keyGateway]; !injected && !gateway {
		return rollout.Proxy{}
	}
	revision := p.Annotations[keyRevision]
	if revision == "" {
		var parsed struct{ Revision string }
		// A status that cannot be read says no revision, like that of an old istiod.
		_ = json.Unmarshal([]byte(status), &parsed)
		revision = parsed.Revision
	}
	if revision == "" {
		revision = noRevision
	}
	return rollout.Proxy{Revision: revision, Version: versionOf(p)}
}

// versionOf is the version of the proxy, empty if it is not known, or if somebody chose the image: another istiod would not
// change it.
func versionOf(p *corev1.Pod) string {
	if p.Annotations[keyProxyImage] != "" || overridden(p.Annotations[keyOverrides]) {
		return ""
	}
	for _, containers := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == containerProxy {
				return versionIn(containers[i].Image)
			}
		}
	}
	return ""
}

// overridden is whether the pod itself names the image of its proxy.
func overridden(overrides string) bool {
	if overrides == "" {
		return false
	}
	type containers []struct{ Name, Image string }
	var parsed struct{ Containers, InitContainers containers }
	if json.Unmarshal([]byte(overrides), &parsed) != nil {
		return false
	}
	for _, c := range append(parsed.Containers, parsed.InitContainers...) {
		if c.Name == containerProxy && c.Image != "" {
			return true
		}
	}
	return false
}

// versionTag is a version of Istio, as its images are tagged.
var versionTag = regexp.MustCompile(`^v?([0-9]+\.[0-9]+\.[0-9]+(?:-(?:alpha|beta|rc)\.[0-9]+)?)(?:-(?:distroless|debug))?$`)

// versionIn is the version in the tag of an image, empty if the tag is none of Istio's.
func versionIn(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	if found := versionTag.FindStringSubmatch(tag); found != nil {
		return found[1]
	}
	return ""
}
