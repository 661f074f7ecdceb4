// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// inputOf is an input with a spec in YAML.
func inputOf(t *testing.T, spec string) Input {
	t.Helper()
	in := Input{
		Namespace: "shop", Name: "front", UID: "0b7c", Spec: &v1alpha1.LoadBalancerSpec{}, Model: []byte(`{"version":"v1"}`),
		AgentImage: "example.com/fairlead:1", HAProxyImage: "example.com/haproxy:3.2",
	}
	if err := yaml.UnmarshalStrict([]byte(spec), in.Spec); err != nil {
		t.Fatal(err)
	}
	return in
}

const listeners = "listeners: [{name: https, port: 443, protocol: HTTPS}, {name: a-name-that-is-longer-than-others, port: 55535}]\n"

// TestGolden renders one file per feature; all but the first hold only the kinds that the feature changes.
func TestGolden(t *testing.T) {
	for name, test := range map[string]struct {
		spec  string
		edit  func(*Input)
		kinds string
	}{
		"all": {spec: "listeners: [{name: http, port: 80}]"},
		"autoscaled": {
			spec:  "listeners: [{name: http, port: 80}]\nscaling: {minReplicas: 3, maxReplicas: 9, targetCPUUtilization: 50}\npod: {resources: {requests: {memory: 1Gi}}}",
			kinds: "HorizontalPodAutoscaler Deployment",
		},
		"ports":     {spec: listeners, kinds: "Service NetworkPolicy"},
		"service":   {spec: "service: {type: LoadBalancer, annotations: {a: b, fleet.fairlead.io/adopt: \"true\"}, externalTrafficPolicy: Cluster, loadBalancerClass: x/y}", kinds: "Service"},
		"clusterip": {spec: "service: {type: ClusterIP, loadBalancerClass: x/y}", kinds: "Service"},
		"pod": {
			spec: `scaling: {replicas: 1}
drainTimeout: 10s
pod:
  image: example.com/other:2.6
  resources: {requests: {cpu: "1"}, limits: {memory: 1Gi}}
  nodeSelector: {edge: "true"}
  tolerations: [{key: edge, operator: Exists}]
  spread: [rack]
  priorityClassName: high
  imagePullSecrets: [pull]
`, kinds: "Deployment PodDisruptionBudget",
		},
		"namespaces": {
			spec:  "{}",
			edit:  func(in *Input) { in.EndpointNamespaces, in.SecretNamespaces = []string{"a", "b"}, []string{"b"} },
			kinds: "RoleBinding",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := inputOf(t, test.spec)
			if test.edit != nil {
				test.edit(&in)
			}
			var got bytes.Buffer
			for _, object := range Objects(in) {
				gvk, err := apiutil.GVKForObject(object, scheme.Scheme)
				if err != nil {
					t.Fatal(err)
				}
				if test.kinds != "" && !strings.Contains(" "+test.kinds+" ", " "+gvk.Kind+" ") {
					continue
				}
				object.GetObjectKind().SetGroupVersionKind(gvk)
				text, err := yaml.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "---\n%s", text)
			}
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s is not what comes out; see the difference with -update", golden)
			}
		})
	}
}

// TestModelRollsNoPods: the pods of two models are the same.
func TestModelRollsNoPods(t *testing.T) {
	in := inputOf(t, listeners)
	one := in.deployment()
	in.Model, in.SecretNamespaces = []byte("another"), []string{"x"}
	in.Spec.Listeners = in.Spec.Listeners[:1]
	if two := in.deployment(); !reflect.DeepEqual(one, two) {
		t.Errorf("the Deployment changes with the model:\n%+v\n%+v", one, two)
	}
}

func TestHash(t *testing.T) {
	if got := Hash([]byte("model")); got != "9372c470eeadd5ec" {
		t.Errorf("the hash is %s", got)
	}
}

func TestReplicas(t *testing.T) {
	for _, test := range []struct {
		scaling v1alpha1.Scaling
		want    int32
	}{
		{v1alpha1.Scaling{}, 2},
		{v1alpha1.Scaling{Replicas: 5}, 5},
		{v1alpha1.Scaling{MaxReplicas: 9}, 2},
		{v1alpha1.Scaling{MaxReplicas: 1}, 1},
		{v1alpha1.Scaling{MinReplicas: 4, MaxReplicas: 9}, 4},
		{v1alpha1.Scaling{MinReplicas: 9, MaxReplicas: 4}, 4},
	} {
		if got := replicas(test.scaling); got != test.want {
			t.Errorf("replicas(%+v) is %d, want %d", test.scaling, got, test.want)
		}
	}
}
