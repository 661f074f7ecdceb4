// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// broken are five routes, each broken in its own way, with the field that the status must name.
var broken = map[string]string{
	"no-service":    "pools[no-service].members[0].service",
	"external-name": "pools[external-name].members[0].service",
	"no-grant":      "pools[no-grant].members[0].service",
	"no-secret":     "routes[no-secret].basicAuth.users",
	"bad-regex":     "routes[bad-regex]",
}

const brokenSpec = `
scaling: {replicas: 1}
listeners:
- {name: http, port: 80, protocol: HTTP}
pools:
- {name: web, members: [{service: {name: web, port: http}}]}
- {name: no-service, members: [{service: {name: nobody, port: http}}]}
- {name: external-name, members: [{service: {name: elsewhere, port: 80}}]}
- {name: no-grant, members: [{service: {name: metrics-server, namespace: kube-system, port: https}}]}
routes:
- {name: no-service, matches: [{path: {value: /no-service}}], action: {pool: no-service}}
- {name: external-name, matches: [{path: {value: /external-name}}], action: {pool: external-name}}
- {name: no-grant, matches: [{path: {value: /no-grant}}], action: {pool: no-grant}}
- {name: no-secret, matches: [{path: {value: /no-secret}}], basicAuth: {users: {secretName: nobody}}, action: {pool: web}}
- {name: bad-regex, matches: [{path: {type: Regex, value: "^/bad-regex(?<!a+)$"}}], action: {pool: web}}
`

// TestFaultsAreIsolated has 45 routes serve beside five broken ones, each of which the status names.
func TestFaultsAreIsolated(t *testing.T) {
	ownNode(t)
	t.Parallel()
	ns := namespaces(t, name(t, "isolated"), 1)[0]
	available(t, backend(t, ns, "web", 1, nil))
	create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "elsewhere"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com", Ports: []corev1.ServicePort{{Port: 80}}},
	})
	spec := specOf(t, brokenSpec)
	for i := range 45 {
		spec.Routes = append(spec.Routes, specOf(t, fmt.Sprintf(`routes: [{name: good-%d, matches: [{path: {value: /good-%d}}], action: {pool: web}}]`, i, i)).Routes...)
	}
	for version := range haproxyImages {
		t.Run("HAProxy "+version, func(t *testing.T) {
			lb := loadBalancer(t, ns, "broken-"+version[:1], version, spec)
			address := addressOf(t, lb)
			for i := range 45 {
				eventually(t, fmt.Sprintf("route good-%d serves", i), func(ctx context.Context) (bool, string, error) {
					a, err := try(ctx, fmt.Sprintf("http://%s/good-%d", address, i), question{})
					return err == nil && a.status == 200, fmt.Sprintf("%+v", a), err
				})
			}
			for route := range broken {
				if a := ask(t, "http://"+address+"/"+route, question{}); a.status == 200 {
					t.Errorf("route %s serves: %+v", route, a)
				}
			}
			namesCulprits(t, lb)
		})
	}
}

func namesCulprits(t *testing.T, lb *v1alpha1.LoadBalancer) {
	t.Helper()
	eventually(t, "the status names each culprit", func(ctx context.Context) (bool, string, error) {
		found := &v1alpha1.LoadBalancer{}
		if err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), found); err != nil || found.Status.Problems == nil {
			return false, fmt.Sprintf("%+v", found.Status), err
		}
		problems := found.Status.Problems.Top
		for _, field := range broken {
			if !slices.ContainsFunc(problems, func(p v1alpha1.Problem) bool {
				return strings.HasPrefix(p.Field, field) && p.Reason != "" && p.Message != ""
			}) {
				return false, fmt.Sprintf("%s is missing in %+v", field, problems), nil
			}
		}
		return found.Status.Problems.Count == int32(len(broken)), fmt.Sprintf("%+v", problems), nil
	})
}

// addressOf waits until a LoadBalancer has an address, Ready or not.
func addressOf(t *testing.T, lb *v1alpha1.LoadBalancer) string {
	t.Helper()
	eventually(t, "LoadBalancer "+lb.Name+" has an address", func(ctx context.Context) (bool, string, error) {
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(lb), lb)
		return err == nil && len(lb.Status.Addresses) > 0, fmt.Sprintf("%+v", lb.Status), err
	})
	return lb.Status.Addresses[0]
}
