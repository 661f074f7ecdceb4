// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// meshFields are specs with a %s in a field that takes none of the injections, and something that the field takes.
var meshFields = map[string]struct{ spec, takes string }{
	"version": {`{version: %s}`, `"1.31"`}, "end of life": {`{endOfLife: %s}`, "Allow"}, "namespace": {`{namespace: %s}`, "a"}, "profile": {`{profile: %s}`, "demo"},
	"hub": {`{image: {hub: %s}}`, "a/b"}, "tag": {`{version: "1.31.0", image: {tag: %s}}`, "a"}, "pull policy": {`{image: {pullPolicy: %s}}`, "Never"}, "pull secret": {`{image: {pullSecrets: [%s]}}`, "a"},
	"label": {`{members: {namespaceSelector: {matchLabels: {%s: a}}}}`, "a"}, "label's value": {`{members: {namespaceSelector: {matchLabels: {a: %s}}}}`, "a"}, "excluded": {`{members: {namespaceSelector: {matchLabels: {a: a}}, exclude: [%s]}}`, "a"},
	"batch": {`{members: {namespaceSelector: {matchLabels: {a: a}}, batchSize: %s}}`, "5%"}, "mtls": {`{mtls: %s}`, "Strict"}, "strategy": {`{upgrade: {strategy: %s}}`, "InPlace"}, "automatic": {`{upgrade: {automatic: %s}}`, "Minor"},
	"deadline": {`{upgrade: {progressDeadline: %s}}`, "5m"}, "failure": {`{upgrade: {onFailure: %s}}`, "Hold"}, "day": {`{upgrade: {maintenanceWindows: [{days: [%s], start: "22:00", duration: 4h}]}}`, "Mon"},
	"start": {`{upgrade: {maintenanceWindows: [{start: %s, duration: 4h}]}}`, `"22:00"`}, "duration": {`{upgrade: {maintenanceWindows: [{start: "22:00", duration: %s}]}}`, "1h"},
	"time zone": {`{upgrade: {maintenanceWindows: [{start: "22:00", duration: 4h, timeZone: %s}]}}`, "CET"}, "gateway": {`{gateways: [{name: %s, namespace: a}]}`, "a"}, "gateway's namespace": {`{gateways: [{name: a, namespace: %s}]}`, "a"},
	"host": {`{gateways: [{name: a, namespace: a, hosts: [%s]}]}`, "a.b"}, "protocol": {`{gateways: [{name: a, namespace: a, ports: [{port: 1, protocol: %s}]}]}`, "HTTP"}, "Secret": {`{gateways: [{name: a, namespace: a, hosts: [a], tls: {secretName: %s}}]}`, "a"},
	"route's host": {`{gateways: [{name: a, namespace: a, hosts: ["*"], routes: [{hosts: [%s], service: {name: a}}]}]}`, "a.b"}, "service": {`{gateways: [{name: a, namespace: a, hosts: [a], routes: [{service: {name: %s}}]}]}`, "a"},
	"service's namespace": {`{gateways: [{name: a, namespace: a, hosts: [a], routes: [{service: {name: a, namespace: %s}}]}]}`, "a"}, "service's type": {`{gateways: [{name: a, namespace: a, service: {type: %s}}]}`, "NodePort"},
	"annotation": {`{gateways: [{name: a, namespace: a, service: {annotations: {%s: a}}}]}`, "a"}, "drift": {`{drift: %s}`, "Warn"}, "uninstall": {`{uninstall: {withMembers: %s}}`, "Proceed"},
}

// put replaces the placeholder in a spec, be it a value or a key. YAML itself has bounds that JSON has not.
func put(in any, text string) any {
	switch in := in.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range in {
			out[put(key, text).(string)] = put(value, text)
		}
		return out
	case []any:
		out := make([]any, len(in))
		for i, value := range in {
			out[i] = put(value, text)
		}
		return out
	case string:
		return strings.ReplaceAll(in, "placeholder", text)
	default:
		return in
	}
}

// TestMeshInjections shows that no field of a name or a word takes anything else, and that each takes what it is for.
func TestMeshInjections(t *testing.T) {
	for field, tc := range meshFields {
		for name, injection := range injections {
			t.Run(field+" of "+name, func(t *testing.T) {
				s, err := fromYAML(fmt.Sprintf(tc.spec, "placeholder"))
				if err != nil {
					t.Fatal(err)
				}
				s = put(map[string]any(s), injection).(map[string]any)
				s.fillMesh()
				if got, err := refused(s.createMesh(t.Context())); err != nil || !got {
					t.Errorf("refused: %t, %v; spec %s", got, err, s)
				}
			})
		}
		s, err := fromYAML(fmt.Sprintf(tc.spec, tc.takes))
		if err != nil {
			t.Fatal(err)
		}
		s.fillMesh()
		if err := s.createMesh(t.Context()); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestHostileMeshIsRefused shows that strings and sizes beyond all bounds are refused quickly.
func TestHostileMeshIsRefused(t *testing.T) {
	for field, tc := range meshFields {
		for name, text := range hostile {
			// Those of the greatest size take long, and where they stand makes a difference for keys and values only.
			if strings.HasPrefix(name, "two megabytes") && field != "version" && field != "label" && field != "host" {
				continue
			}
			t.Run(field+" of "+name, func(t *testing.T) {
				s, err := fromYAML(fmt.Sprintf(tc.spec, "placeholder"))
				if err != nil {
					t.Fatal(err)
				}
				s = put(map[string]any(s), text).(map[string]any)
				s.fillMesh()
				meshRefusedQuickly(t, s)
			})
		}
	}
	for name, s := range map[string]spec{
		"gateways": {"gateways": list(17, func(i int) map[string]any { return map[string]any{"name": named(i), "namespace": "a"} })},
		"windows": {"upgrade": map[string]any{"maintenanceWindows": list(17, func(int) map[string]any {
			return map[string]any{"start": "22:00", "duration": "1h"}
		})}},
		"values":               {"values": manyKeys(129)},
		"values beyond all":    {"values": map[string]any{"a": strings.Repeat("a", 4<<20)}},
		"a null for a gateway": {"gateways": []any{nil}},
		"a map for a list":     {"gateways": map[string]any{"name": "a"}},
		"a text for a map":     {"members": "a"},
		"nothing":              {"version": nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := maps.Clone(s)
			if name != "nothing" {
				s.fillMesh()
			}
			meshRefusedQuickly(t, s)
		})
	}
}

func manyKeys(n int) map[string]any {
	all := map[string]any{}
	for i := range n {
		all[fmt.Sprint("k", i)] = 1
	}
	return all
}

func meshRefusedQuickly(t *testing.T, s spec) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	switch refused, err := refused(s.createMesh(ctx)); {
	case err != nil:
		t.Errorf("%.300v", err)
	case !refused:
		t.Errorf("accepted %.300s", s)
	}
}

// largestMesh is a spec with as much of everything as there may be, in which every rule has to look at everything: hosts
// are as long as can be, and covered by the last one.
func largestMesh() spec {
	label := strings.Repeat("a", 60)
	host := func(i int) string { return fmt.Sprintf("h%03d.%s.%s.%s.example.com", i, label, label, label) }
	gateways := list(16, func(i int) map[string]any {
		hosts := make([]any, 32)
		for h := range hosts {
			hosts[h] = host(h)
			if h >= 16 {
				hosts[h] = fmt.Sprintf("*.w%03d.%s.%s.example.com", h, label, label)
			}
		}
		routes := list(32, func(r int) map[string]any {
			own := make([]any, 8)
			for h := range own {
				own[h] = host(h)
				if h >= 4 {
					own[h] = fmt.Sprintf("r%d.w031.%s.%s.example.com", h, label, label)
				}
			}
			return map[string]any{"hosts": own, "pathPrefix": fmt.Sprintf("/%s/%d", strings.Repeat("a", 200), r), "service": map[string]any{"name": "a", "port": 80}}
		})
		return map[string]any{
			"name": named(i), "namespace": "istio-system", "hosts": hosts, "routes": routes, "tls": map[string]any{"secretName": "a", "httpsRedirect": true},
			"ports": list(16, func(p int) map[string]any {
				return map[string]any{"port": p + 1, "protocol": []string{"HTTP", "HTTPS"}[p%2]}
			}),
		}
	})
	exclude := make([]any, 64)
	for i := range exclude {
		exclude[i] = fmt.Sprintf("%s-%02d", label, i)
	}
	return spec{
		"version": "1.31", "gateways": gateways, "values": manyKeys(128),
		"members": map[string]any{
			"exclude": exclude,
			"namespaceSelector": map[string]any{"matchExpressions": list(16, func(i int) map[string]any {
				return map[string]any{"key": fmt.Sprint("k", i), "operator": "In", "values": []any{"a"}}
			})},
		},
		"upgrade": map[string]any{"maintenanceWindows": list(16, func(int) map[string]any {
			return map[string]any{"days": []any{"Mon"}, "start": "22:00", "duration": "1h", "timeZone": "America/Argentina/Buenos_Aires"}
		})},
	}
}

// TestLargestMesh shows that the cost of all rules together stays within what the API server spends on an object.
func TestLargestMesh(t *testing.T) {
	s := largestMesh()
	start := time.Now()
	if err := s.createMesh(t.Context()); err != nil {
		t.Errorf("%.2000v", err)
	}
	t.Logf("%d bytes in %s", len(s.String()), time.Since(start).Round(time.Millisecond))
}

// TestWrongLargestMesh shows that single mistakes in a spec of the greatest size are found, and named.
func TestWrongLargestMesh(t *testing.T) {
	s := largestMesh()
	gateways := s["gateways"].([]any)
	routes := gateways[15].(map[string]any)["routes"].([]any)
	routes[30].(map[string]any)["hosts"] = []any{"nope.example.com"}
	routes[31].(map[string]any)["pathPrefix"] = routes[0].(map[string]any)["pathPrefix"]
	s["mtls"], s["profile"] = "Disable", "ambient"
	err := s.createMesh(t.Context())
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		`spec.gateways[15]: a route has host nope.example.com, which hosts of gateway ` + named(15) + ` does not cover: add it there, or correct it`,
		`spec.gateways[15]: two routes of gateway ` + named(15) + ` are for pathPrefix /` + strings.Repeat("a", 200) + `/0 of the same host: only one of them can serve it`,
		`spec: mtls Disable is not for profile ambient, whose ztunnel encrypts always: use Permissive, or another profile`,
	}
	if got := messages(err); !slices.Equal(got, want) {
		t.Errorf("refusal\n got %q\nwant %q", got, want)
	}
}
