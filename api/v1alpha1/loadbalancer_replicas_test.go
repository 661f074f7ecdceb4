// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

var scalingCases = map[string]loadBalancerCase{
	"a fixed number":      {spec: `scaling: {replicas: 1}`},
	"an autoscaler":       {spec: `scaling: {minReplicas: 3, maxReplicas: 3, targetCPUUtilization: 50}`},
	"nothing":             {spec: `scaling: {}`},
	"both":                {spec: `scaling: {replicas: 2, maxReplicas: 4}`, want: []string{`spec.scaling: replicas is a fixed number, and excludes minReplicas, maxReplicas and targetCPUUtilization`}},
	"a bound below":       {spec: `scaling: {minReplicas: 2}`, want: []string{`spec.scaling: minReplicas and targetCPUUtilization need maxReplicas, which switches the autoscaler on`}},
	"min above max":       {spec: `scaling: {minReplicas: 4, maxReplicas: 3}`, want: []string{`spec.scaling: minReplicas, which is 2 if unset, is greater than maxReplicas`}},
	"2 above max":         {spec: `scaling: {maxReplicas: 1}`, want: []string{`spec.scaling: minReplicas, which is 2 if unset, is greater than maxReplicas`}},
	"without CPU":         {spec: `{scaling: {maxReplicas: 4}, pod: {resources: {requests: {memory: 1Gi}}}}`, want: []string{`spec: scaling.maxReplicas needs pod.resources.requests[cpu], which CPU use is measured by`}},
	"with CPU as a limit": {spec: `{scaling: {maxReplicas: 4}, pod: {resources: {limits: {cpu: "1"}}}}`},
	"a drain of an hour":  {spec: `drainTimeout: 1h`},
	"a drain of a day":    {spec: `drainTimeout: 24h`, want: []string{`spec.drainTimeout: 24h is not within 1s to 1h`}},
	"a drain of nothing":  {spec: `drainTimeout: 999ms`, want: []string{`spec.drainTimeout: 999ms is not within 1s to 1h`}},
}

const annotationSyntax = " in annotations is not a key: write name or domain/name, at most 253 characters"

var serviceCases = map[string]loadBalancerCase{
	"of each type": {spec: `service: {type: LoadBalancer, externalTrafficPolicy: Cluster, loadBalancerClass: example.com/a, annotations: {example.com/Key_1: "any\ntext"}}`},
	"a node port":  {spec: `service: {type: NodePort, externalTrafficPolicy: Local}`},
	"a cluster IP": {spec: `service: {type: ClusterIP}`},
	"a policy of a cluster IP": {
		spec: `service: {type: ClusterIP, externalTrafficPolicy: Cluster}`, want: []string{`spec.service: externalTrafficPolicy is for types LoadBalancer and NodePort`},
	},
	"a class of a node port": {spec: `service: {type: NodePort, loadBalancerClass: a/b}`, want: []string{`spec.service: loadBalancerClass is for type LoadBalancer, not for NodePort`}},
	"an annotation":          {spec: `service: {annotations: {a b: c}}`, want: []string{`spec.service.annotations: "a b"` + annotationSyntax}},
	"a long annotation":      {spec: `service: {annotations: {` + strings.Repeat("a", 252) + `/b: c}}`, want: []string{`spec.service.annotations: "` + strings.Repeat("a", 252) + `/b"` + annotationSyntax}},
	"an annotation of ours":  {spec: `service: {annotations: {fleet.fairlead.io/paused: "true"}}`, want: []string{`spec.service.annotations: annotations of fleet.fairlead.io/ are Fairlead's own`}},
}

var podCases = map[string]loadBalancerCase{
	"everything": {
		spec: `pod: {image: "registry.example.com:5000/haproxy:3.2@sha256:00", resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 128Mi, ephemeral-storage: 1Gi}}, nodeSelector: {kubernetes.io/os: linux},
  tolerations: [{operator: Exists}, {key: a, value: b, effect: NoSchedule}, {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 5}], spread: [topology.kubernetes.io/zone], priorityClassName: high, imagePullSecrets: [a.b]}`,
	},
	"an exponent": {spec: `pod: {resources: {requests: {cpu: "1e-999999999"}}}`, want: []string{`spec.pod.resources.requests[cpu]: "1e-999999999"` + amountSyntax}},
	"a device":    {spec: `pod: {resources: {limits: {nvidia.com/gpu: "1"}}}`, want: []string{`spec.pod.resources: limits are of cpu, memory and ephemeral-storage`}},
	"a request above its limit": {
		spec: `pod: {resources: {requests: {memory: 1Gi}, limits: {memory: 1G}}}`, want: []string{`spec.pod.resources: requests[memory] 1Gi is greater than limits[memory] 1G`},
	},
	"a label key":                    {spec: `pod: {nodeSelector: {a b: c}}`, want: []string{`spec.pod.nodeSelector: "a b" in nodeSelector is not a label key: write name or domain/name, at most 253 characters`}},
	"a label value":                  {spec: `pod: {nodeSelector: {a: b c}}`, want: []string{`spec.pod.nodeSelector[a]: "b c"` + valueSyntax}},
	"a toleration of nothing":        {spec: `pod: {tolerations: [{effect: NoSchedule}]}`, want: []string{`spec.pod.tolerations[0]: a toleration without key needs operator Exists`}},
	"a toleration with a value":      {spec: `pod: {tolerations: [{key: a, operator: Exists, value: b}]}`, want: []string{`spec.pod.tolerations[0]: operator Exists takes no value`}},
	"a toleration of another effect": {spec: `pod: {tolerations: [{key: a, effect: Never}]}`, want: []string{`spec.pod.tolerations[0]: effect must be NoSchedule, PreferNoSchedule or NoExecute`}},
	"a toleration by comparison":     {spec: `pod: {tolerations: [{key: a, operator: Gt, value: "1"}]}`, want: []string{`spec.pod.tolerations[0]: operator must be Exists or Equal`}},
	"a toleration for a while":       {spec: `pod: {tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 1}]}`, want: []string{`spec.pod.tolerations[0]: tolerationSeconds is for effect NoExecute`}},
	"a long toleration":              {spec: `pod: {tolerations: [{key: a, value: ` + strings.Repeat("b", 64) + `}]}`, want: []string{`spec.pod.tolerations[0]: key has at most 253 characters, and value 63`}},
}

func TestScalingRules(t *testing.T) { testLoadBalancerRules(t, scalingCases) }
func TestServiceRules(t *testing.T) { testLoadBalancerRules(t, serviceCases) }
func TestPodRules(t *testing.T)     { testLoadBalancerRules(t, podCases) }

// TestNameRules tries names of LoadBalancers, after which a Service and other objects are named.
func TestNameRules(t *testing.T) {
	const (
		long   = `: the name of a LoadBalancer has at most 40 characters, since its objects are named after it`
		syntax = `: the name of a LoadBalancer begins with a letter and has letters, digits and - only, since its Service is named after it`
	)
	for name, want := range map[string][]string{
		"shop": nil, "a": nil, "a-1": nil, strings.Repeat("a", 40): nil, strings.Repeat("a", 41): {long}, "1a": {syntax}, "a.b": {syntax},
	} {
		s := spec{}
		s.fillLoadBalancer()
		var got []string
		if err := create(t.Context(), v1alpha1.GroupVersion.String(), "LoadBalancer", metav1.ObjectMeta{Namespace: namespace, Name: name}, s); err != nil {
			got = messages(err)
		}
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "<nil>")
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: refusal\n got %q\nwant %q", name, got, want)
		}
	}
}

// TestContainerResources shows that the resources reach the container as they are written.
func TestContainerResources(t *testing.T) {
	got, err := (&v1alpha1.ContainerResources{
		Requests: v1alpha1.Amounts{corev1.ResourceCPU: "1.5"}, Limits: v1alpha1.Amounts{corev1.ResourceMemory: "1Gi"},
	}).ResourceRequirements()
	if err != nil || got.Requests.Cpu().MilliValue() != 1500 || got.Limits.Memory().Value() != 1<<30 || len(got.Requests)+len(got.Limits) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := (*v1alpha1.ContainerResources)(nil).ResourceRequirements(); err != nil || got.Requests != nil || got.Limits != nil {
		t.Errorf("of nothing: %+v, %v", got, err)
	}
	_, err = (&v1alpha1.ContainerResources{Limits: v1alpha1.Amounts{corev1.ResourceMemory: "1X"}}).ResourceRequirements()
	if err == nil || !strings.Contains(err.Error(), "amount of memory") {
		t.Errorf("1X of memory: %v", err)
	}
}
