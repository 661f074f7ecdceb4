// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// file is a golden file's input.
type file struct {
	Spec     v1alpha1.LoadBalancerSpec `json:"spec"`
	Services []struct {
		Namespace string               `json:"namespace"`
		Name      string               `json:"name"`
		Type      corev1.ServiceType   `json:"type"`
		ClusterIP string               `json:"clusterIP"`
		Ports     []corev1.ServicePort `json:"ports"`
	} `json:"services"`
	Grants []struct{ Namespace, From, Kind, Name string } `json:"grants"`
}

func (f *file) input() Input {
	in := Input{Namespace: "shop", Name: "test", Generation: 7, Spec: &f.Spec, Services: map[types.NamespacedName]*corev1.Service{}}
	for _, s := range f.Services {
		service := &corev1.Service{Spec: corev1.ServiceSpec{Type: s.Type, ClusterIP: s.ClusterIP, Ports: s.Ports}}
		in.Services[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = service
	}
	for _, g := range f.Grants {
		in.Grants = append(in.Grants, grant(g.Namespace, g.From, g.Kind, g.Name))
	}
	return in
}

func grant(namespace, from, kind, name string) *gatewayv1beta1.ReferenceGrant {
	out := &gatewayv1beta1.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	out.Spec.From = []gatewayv1beta1.ReferenceGrantFrom{{
		Group: gatewayv1beta1.Group(v1alpha1.GroupVersion.Group), Kind: "LoadBalancer", Namespace: gatewayv1beta1.Namespace(from),
	}}
	to := gatewayv1beta1.ReferenceGrantTo{Kind: gatewayv1beta1.Kind(kind)}
	if name != "" {
		to.Name = new(gatewayv1beta1.ObjectName(name))
	}
	out.Spec.To = []gatewayv1beta1.ReferenceGrantTo{to}
	return out
}

func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range inputs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var f file
			if err := yaml.UnmarshalStrict(text, &f); err != nil {
				t.Fatal(err)
			}
			out := Compile(f.input())
			if left := model.Validate(&out.Config); len(left) > 0 {
				t.Errorf("the model is not valid: %+v", left)
			}
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(out); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".json"
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

func TestReferences(t *testing.T) {
	text, err := os.ReadFile("testdata/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := yaml.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	services, namespaces := References("shop", &f.Spec)
	var names []string
	for _, s := range services {
		names = append(names, s.String())
	}
	if want := []string{"other/shared", "shop/db", "shop/headless", "shop/web"}; !slices.Equal(names, want) {
		t.Errorf("the Services are %v, want %v", names, want)
	}
	if want := []string{"certs", "other"}; !slices.Equal(namespaces, want) {
		t.Errorf("the namespaces are %v, want %v", namespaces, want)
	}
}

// TestGrants lists what makes a grant one for this load balancer.
func TestGrants(t *testing.T) {
	for name, test := range map[string]struct {
		edit   func(*gatewayv1beta1.ReferenceGrant)
		secret bool
	}{
		"as it should be":        {func(*gatewayv1beta1.ReferenceGrant) {}, true},
		"in another namespace":   {func(g *gatewayv1beta1.ReferenceGrant) { g.Namespace = "elsewhere" }, false},
		"from another namespace": {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.From[0].Namespace = "elsewhere" }, false},
		"from another kind":      {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.From[0].Kind = "HTTPRoute" }, false},
		"from another group":     {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.From[0].Group = "gateway.networking.k8s.io" }, false},
		"to another kind":        {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.To[0].Kind = "Service" }, false},
		"to another group":       {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.To[0].Group = "example.com" }, false},
		"to this one alone":      {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.To[0].Name = new(gatewayv1beta1.ObjectName("tls")) }, false},
		"to another one":         {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.To[0].Name = new(gatewayv1beta1.ObjectName("x")) }, false},
		"from nobody":            {func(g *gatewayv1beta1.ReferenceGrant) { g.Spec.From = nil }, false},
	} {
		g := grant("other", "shop", "Secret", "")
		test.edit(g)
		spec := &v1alpha1.LoadBalancerSpec{Listeners: []v1alpha1.Listener{{
			Name: "https", Port: 443, Protocol: v1alpha1.ProtocolHTTPS,
			TLS: &v1alpha1.ListenerTLS{Certificates: []v1alpha1.SecretReference{{SecretName: "tls", Namespace: "other"}}},
		}}}
		out := Compile(Input{Namespace: "shop", Name: "test", Spec: spec, Grants: []*gatewayv1beta1.ReferenceGrant{g}})
		if used := len(out.SecretNamespaces) == 1; used != test.secret || (len(out.Problems) == 0) != test.secret {
			t.Errorf("%s: used %v with problems %+v, want %v", name, used, out.Problems, test.secret)
		}
	}
}

func TestEncodeMakesRoom(t *testing.T) {
	spec := &v1alpha1.LoadBalancerSpec{Listeners: []v1alpha1.Listener{{Name: "a", Port: 80, Protocol: v1alpha1.ProtocolHTTP}}}
	for i := range 200 {
		name := v1alpha1.Name("r" + strings.Repeat("x", i%20) + string(rune('a'+i/20)))
		respond := &v1alpha1.Respond{Body: strings.Repeat("b", model.MaxBody-i)}
		spec.Routes = append(spec.Routes, v1alpha1.Route{Name: name, Action: v1alpha1.Action{Respond: respond}})
	}
	out := Compile(Input{Namespace: "shop", Name: "test", Spec: spec})
	if len(out.Problems) > 0 {
		t.Fatalf("problems: %+v", out.Problems[0])
	}
	text, err := out.Encode()
	if err != nil || len(text) > room {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	kept := 0
	for _, r := range out.Config.Routes {
		if r.Action.Respond.Body != "" {
			kept++
		}
	}
	if len(out.Config.Routes) != 200 || kept < 60 || kept+len(out.Problems) != 200 || out.Problems[0].Reason != v1alpha1.ProblemTooLarge {
		t.Errorf("%d routes, %d with a body, %d problems", len(out.Config.Routes), kept, len(out.Problems))
	}
	if spec.Routes[0].Action.Respond.Body == "" {
		t.Error("the spec was changed")
	}
}
