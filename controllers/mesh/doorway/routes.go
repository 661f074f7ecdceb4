// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package doorway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// virtualServices route the requests of a gateway's hosts: one object for all hosts that have the same routes. A proxy
// looks for a request's host first, and only at the routes of the nearest one then; so each host gets all that apply to it.
func virtualServices(g *v1alpha1.MeshGateway, domain string) []client.Object {
	type group struct {
		hosts  []v1alpha1.GatewayHost
		routes []*v1alpha1.GatewayRoute
	}
	var groups []group
	for _, host := range hostsOf(g) {
		routes := routesOf(g, host)
		if len(routes) == 0 {
			continue
		}
		at := slices.IndexFunc(groups, func(other group) bool { return slices.Equal(other.routes, routes) })
		if at < 0 {
			at, groups = len(groups), append(groups, group{routes: routes})
		}
		groups[at].hosts = append(groups[at].hosts, host)
	}
	out := make([]client.Object, len(groups))
	for i, same := range groups {
		http := make([]any, len(same.routes))
		for j, route := range same.routes {
			http[j] = httpRoute(g, route, domain)
		}
		out[i] = object(virtualServiceKind, string(g.Namespace), virtualServiceName(g, same.hosts[0]), map[string]any{
			"hosts":    texts(same.hosts),
			"gateways": []any{string(g.Namespace) + "/" + g.Name},
			"http":     http,
		})
	}
	return out
}

// virtualServiceName is the gateway's own for the object with its first host. Others are named after their first host, which
// is too long for a name, so that they keep their names when routes come and go.
func virtualServiceName(g *v1alpha1.MeshGateway, host v1alpha1.GatewayHost) string {
	if host == g.Hosts[0] {
		return g.Name
	}
	sum := sha256.Sum256([]byte(host))
	return g.Name + "-" + hex.EncodeToString(sum[:4])
}

// hostsOf are the hosts of a gateway and those of its routes, each once.
func hostsOf(g *v1alpha1.MeshGateway) []v1alpha1.GatewayHost {
	var out []v1alpha1.GatewayHost
	add := func(hosts []v1alpha1.GatewayHost) {
		for _, host := range hosts {
			if !slices.Contains(out, host) {
				out = append(out, host)
			}
		}
	}
	add(g.Hosts)
	for i := range g.Routes {
		add(g.Routes[i].Hosts)
	}
	return out
}

// routesOf are the routes of a host, in the order in which they are tried, without those that no request reaches.
func routesOf(g *v1alpha1.MeshGateway, host v1alpha1.GatewayHost) []*v1alpha1.GatewayRoute {
	var all []*v1alpha1.GatewayRoute
	for i := range g.Routes {
		if nearness(&g.Routes[i], host) >= anyHost {
			all = append(all, &g.Routes[i])
		}
	}
	slices.SortStableFunc(all, func(a, b *v1alpha1.GatewayRoute) int {
		return cmp.Or(cmp.Compare(nearness(b, host), nearness(a, host)), cmp.Compare(len(b.PathPrefix), len(a.PathPrefix)))
	})
	var out []*v1alpha1.GatewayRoute
	for _, route := range all {
		if !slices.ContainsFunc(out, func(before *v1alpha1.GatewayRoute) bool { return covers(prefix(before), prefix(route)) }) {
			out = append(out, route)
		}
	}
	return out
}

// How near a route without hosts is to a host, and one that is for other hosts.
const (
	anyHost   = -1
	otherHost = -2
)

// nearness says how precisely a route names a host: the exact name is nearer than a wildcard, and a longer wildcard than a
// shorter one.
func nearness(route *v1alpha1.GatewayRoute, host v1alpha1.GatewayHost) int {
	if len(route.Hosts) == 0 {
		return anyHost
	}
	best := otherHost
	for _, named := range route.Hosts {
		ending, wildcard := strings.CutPrefix(string(named), "*")
		if named == host || wildcard && strings.HasSuffix(string(host), ending) {
			best = max(best, len(ending))
		}
	}
	return best
}

// prefix is the path of a route without a slash at its end; empty for all paths.
func prefix(route *v1alpha1.GatewayRoute) string {
	return strings.TrimRight(string(route.PathPrefix), "/")
}

// covers reports whether all paths below a prefix are below another one, by whole elements.
func covers(whole, part string) bool { return part == whole || strings.HasPrefix(part, whole+"/") }

func httpRoute(g *v1alpha1.MeshGateway, route *v1alpha1.GatewayRoute, domain string) map[string]any {
	below := prefix(route)
	match := []any{uri("prefix", below+"/")}
	if below != "" {
		match = []any{uri("exact", below), uri("prefix", below+"/")}
	}
	destination := map[string]any{
		"host": fmt.Sprintf("%s.%s.svc.%s", route.Service.Name, cmp.Or(route.Service.Namespace, g.Namespace), domain),
	}
	if route.Service.Port != 0 {
		destination["port"] = map[string]any{"number": int64(route.Service.Port)}
	}
	return map[string]any{"match": match, "route": []any{map[string]any{"destination": destination}}}
}

func uri(how, path string) map[string]any { return map[string]any{"uri": map[string]any{how: path}} }
