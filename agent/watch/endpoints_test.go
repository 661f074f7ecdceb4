// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/model"
)

// endpoint has the conditions that its letters say: Ready, Serving, Terminating; a small letter is false, none is unset.
func endpoint(address, conditions string) discoveryv1.Endpoint {
	out := discoveryv1.Endpoint{Addresses: []string{address}}
	for _, letter := range conditions {
		switch letter {
		case 'R', 'r':
			out.Conditions.Ready = ptr.To(letter == 'R')
		case 'S', 's':
			out.Conditions.Serving = ptr.To(letter == 'S')
		case 'T', 't':
			out.Conditions.Terminating = ptr.To(letter == 'T')
		}
	}
	return out
}

func slice(name string, ports []discoveryv1.EndpointPort, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: ports, Endpoints: endpoints,
	}
}

func TestEndpoints(t *testing.T) {
	http := []discoveryv1.EndpointPort{
		{Name: ptr.To("dns"), Port: ptr.To(int32(53)), Protocol: ptr.To(corev1.ProtocolUDP)}, {Name: ptr.To("http"), Port: ptr.To(int32(8080))},
	}
	unnamed := []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To(int32(9090))}}
	ref := model.ServiceRef{Namespace: "shop", Name: "web", PortName: "http"}
	for name, test := range map[string]struct {
		ref    model.ServiceRef
		slices []*discoveryv1.EndpointSlice
		want   string
	}{
		"ready, and what is unset is ready": {ref, []*discoveryv1.EndpointSlice{slice("a", http, endpoint("10.0.0.2", "RS"), endpoint("10.0.0.1", ""))}, "10.0.0.1:8080 10.0.0.2:8080"},
		"not ready":                         {ref, []*discoveryv1.EndpointSlice{slice("a", http, endpoint("10.0.0.1", "rS"), endpoint("10.0.0.2", "rs"), endpoint("10.0.0.3", "R"))}, "10.0.0.3:8080"},
		"ends":                              {ref, []*discoveryv1.EndpointSlice{slice("a", http, endpoint("10.0.0.1", "rST"), endpoint("10.0.0.2", "rsT"), endpoint("10.0.0.3", "R"))}, "10.0.0.1:8080 drains 10.0.0.3:8080"},
		"all end":                           {ref, []*discoveryv1.EndpointSlice{slice("a", http, endpoint("10.0.0.1", "rST"), endpoint("10.0.0.2", "rsT"))}, "10.0.0.1:8080"},
		"several slices":                    {ref, []*discoveryv1.EndpointSlice{slice("a", http, endpoint("10.0.0.2", "")), slice("b", http, endpoint("10.0.0.1", ""))}, "10.0.0.1:8080 10.0.0.2:8080"},
		"another port":                      {ref, []*discoveryv1.EndpointSlice{slice("a", unnamed, endpoint("10.0.0.1", ""))}, ""},
		"a port without name":               {model.ServiceRef{Namespace: "shop", Name: "web"}, []*discoveryv1.EndpointSlice{slice("a", unnamed, endpoint("10.0.0.1", ""))}, "10.0.0.1:9090"},
		"UDP":                               {model.ServiceRef{Namespace: "shop", Name: "web", PortName: "dns"}, []*discoveryv1.EndpointSlice{slice("a", http, endpoint("10.0.0.1", ""))}, ""},
		"no ports":                          {model.ServiceRef{Namespace: "shop", Name: "web", Port: 70}, []*discoveryv1.EndpointSlice{slice("a", nil, endpoint("10.0.0.1", ""))}, "10.0.0.1:70"},
	} {
		t.Run(name, func(t *testing.T) {
			w := New(Options{}, nil)
			n := &namespace{slices: map[string]map[string]*discoveryv1.EndpointSlice{}}
			for _, s := range test.slices {
				n.take(nil, w.trimSlice(s))
			}
			got := ""
			for _, e := range endpoints(test.ref, n.slices["web"]) {
				got += fmt.Sprintf(" %s:%d", e.Address, e.Port)
				if e.Draining {
					got += " drains"
				}
			}
			if got != "" {
				got = got[1:]
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestTake(t *testing.T) {
	n := &namespace{slices: map[string]map[string]*discoveryv1.EndpointSlice{}}
	one := slice("a", nil)
	moved := one.DeepCopy()
	moved.Labels[discoveryv1.LabelServiceName] = "api"
	if got := n.take(nil, one); fmt.Sprint(got) != "[web]" || len(n.slices["web"]) != 1 {
		t.Errorf("new: %v %v", got, n.slices)
	}
	if got := n.take(one, moved); fmt.Sprint(got) != "[web api]" || len(n.slices["web"]) != 0 || len(n.slices["api"]) != 1 {
		t.Errorf("moved: %v %v", got, n.slices)
	}
	if got := n.take(moved, nil); fmt.Sprint(got) != "[api]" || len(n.slices) != 0 {
		t.Errorf("gone: %v %v", got, n.slices)
	}
}
