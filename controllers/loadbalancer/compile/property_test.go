// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package compile

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/model"
)

// words are what a random spec is made of: few, so that names meet, and some of them hostile.
var vocabulary = []string{
	"", "a", "b", "web", "https", "other", "shop", "HTTP", "HTTPS", "TCP", "TLS", "10.0.0.0/8", "10.0.0.1", "::1", "1s", "5m", "99999h", "-1s",
	"1.2", "1.3", "/a", "/", "(", "x-y", "a.example.com", "*.example.com", "GET", "Exact", "Prefix", "Regex", "Present", "Header", "SourceIP",
	"Cookie", "HeaderHash", "RoundRobin", "GRPC", "200-399", "text/html", "*", "https://a", "\n", "a b", "\xff", "nobody-serves-this-because-a-part-of-its-route-is-not-in-force",
}

// random fills a value with words and small numbers.
func random(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(vocabulary[r.IntN(len(vocabulary))])
	case reflect.Int32, reflect.Int64:
		v.SetInt([]int64{0, 1, 2, 80, 81, 443, 503, 55535, -1, 302}[r.IntN(10)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Pointer:
		if r.IntN(2) == 0 && depth < 8 {
			v.Set(reflect.New(v.Type().Elem()))
			random(r, v.Elem(), depth+1)
		}
	case reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			random(r, v.Index(i), depth+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[intstr.IntOrString]() {
			v.Set(reflect.ValueOf(intstr.IntOrString{Type: intstr.Type(r.IntN(2)), IntVal: 80, StrVal: "a"}))
			return
		}
		if v.Type() == reflect.TypeFor[v1alpha1.PodTemplate]() {
			return
		}
		for i := range v.NumField() {
			random(r, v.Field(i), depth+1)
		}
	}
}

func check(t *testing.T, in Input) {
	t.Helper()
	before, err := json.Marshal(in.Spec)
	if err != nil {
		t.Fatal(err)
	}
	out := Compile(in)
	if left := model.Validate(&out.Config); len(left) > 0 {
		t.Fatalf("the model is not valid: %+v\nof the spec %s", left, before)
	}
	if _, err := out.Encode(); err != nil {
		t.Fatal(err)
	}
	if after, _ := json.Marshal(in.Spec); !bytes.Equal(after, before) {
		t.Fatalf("the spec was changed from %s to %s", before, after)
	}
	again := Compile(in)
	if !reflect.DeepEqual(again.Problems, out.Problems) || !reflect.DeepEqual(again.SecretNamespaces, out.SecretNamespaces) {
		t.Fatalf("the same input gave %+v and %+v", out.Problems, again.Problems)
	}
	// Nothing of another namespace is used without a grant.
	if len(in.Grants) == 0 && len(out.EndpointNamespaces)+len(out.SecretNamespaces) > 0 {
		t.Fatalf("used are %v and %v", out.EndpointNamespaces, out.SecretNamespaces)
	}
}

func inputOf(r *rand.Rand) Input {
	in := Input{Namespace: "shop", Name: "a", Spec: &v1alpha1.LoadBalancerSpec{}, Services: map[types.NamespacedName]*corev1.Service{}}
	random(r, reflect.ValueOf(in.Spec).Elem(), 0)
	for _, namespace := range []string{"shop", "other"} {
		in.Services[types.NamespacedName{Namespace: namespace, Name: "web"}] = &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	}
	if r.IntN(2) == 0 {
		in.Grants = []*gatewayv1beta1.ReferenceGrant{grant("other", "shop", "Secret", ""), grant("other", "shop", "Service", "web")}
	}
	return in
}

// TestAnySpecGivesAValidModel compiles random specs, most of which no API server would take.
func TestAnySpecGivesAValidModel(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		check(t, inputOf(r))
	}
}

// FuzzCompile does the same with specs as JSON.
func FuzzCompile(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		text, err := json.Marshal(inputOf(r).Spec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		spec := &v1alpha1.LoadBalancerSpec{}
		if json.Unmarshal(text, spec) == nil {
			check(t, Input{Namespace: "shop", Name: "a", Spec: spec})
		}
	})
}
