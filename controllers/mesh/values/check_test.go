// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package values

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

func chartsOf(t *testing.T, version string) *catalogue.Charts {
	t.Helper()
	c, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Entries() {
		if e.Version.String() == version {
			charts, err := c.Charts(e)
			if err != nil {
				t.Fatal(err)
			}
			return charts
		}
	}
	t.Fatalf("no version %s", version)
	return nil
}

func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		want   []string
	}{
		"nothing":        {values: "{}"},
		"top level":      {values: "{autoscaleMin: 2, env: {ANY: x}, resources: {limits: {cpu: 1}}, podAnnotations: {a.b/c: d}, nodeSelector: {x: y}}"},
		"section":        {values: "{pilot: {autoscaleMin: 2, env: {ANY: x}, cni: {enabled: true}, pdb: {minAvailable: 2}}}"},
		"other charts":   {values: "{cni: {cniBinDir: /x, ambient: {dnsCapture: false}}, ztunnel: {logLevel: debug, nodeSelector: {a: b}, resources: {requests: {memory: 1Gi}}}}"},
		"global":         {values: "{global: {hub: example.com, tag: x, platform: gke, proxy: {resources: {limits: {cpu: 1}}}, tracer: {zipkin: {address: a}}, logging: {level: a}}}"},
		"only asked for": {values: "{pilot: {trafficDistribution: PreferClose, terminationMessagePolicy: x}, global: {trustBundleName: x, variant: debug, networkPolicy: {enabled: false}}, compatibilityVersion: \"1.30\"}"},
		"in a comment":   {values: "{pdb: {maxUnavailable: 1}, global: {readerServiceAccount: {name: a, namespace: b}, podDNSSearchNamespaces: [a]}, base: {validationFailurePolicy: Ignore}}"},
		"removed":        {values: "{autoscaleMax: null}"},
		"gateways":       {values: "{gateways: {securityContext: {runAsUser: 1}}, gatewayClasses: {istio: {service: {spec: {type: ClusterIP}}}}}"},
		"unknown": {
			values: "{autoscaleMn: 2, pilot: {replicaCont: 3}, global: {proxy: {loglevel: debug}}, zzz: 1}",
			want: []string{
				`autoscaleMn: unknown, "autoscaleMin" is known`, `global.proxy.loglevel: unknown, "logLevel" is known`,
				`pilot.replicaCont: unknown, "replicaCount" is known`, `zzz: unknown`,
			},
		},
		"unknown in other charts": {
			values: "{cni: {ambient: {dnsCapure: true}}, ztunnel: {loglvl: x}}",
			want:   []string{`cni.ambient.dnsCapure: unknown, "dnsCapture" is known`, `ztunnel.loglvl: unknown, "logLevel" is known`},
		},
		"shapes": {
			values: "{tolerations: {a: b}, env: [a], autoscaleEnabled: \"false\", autoscaleMin: [2], global: x, pilot: {cni: true}}",
			want: []string{
				"autoscaleEnabled: must be true or false", "autoscaleMin: must be one value", "env: must be a map",
				"global: must be a map", "pilot.cni: must be a map", "tolerations: must be a list",
			},
		},
		"owned": {
			values: "{revision: a, revisionTags: [x], profile: demo, global: {istioNamespace: x, resourceScope: cluster}, pilot: {revision: b}, ztunnel: {resourceName: z}, meshConfig: {rootNamespace: x}}",
			want: []string{
				"global.istioNamespace: belongs to the operator: set spec.namespace",
				"global.resourceScope: belongs to the operator: the operator installs all of it",
				"meshConfig.rootNamespace: belongs to the operator: it is spec.namespace",
				"pilot.revision: belongs to the operator: the operator names revisions",
				"profile: belongs to the operator: set spec.profile",
				"revision: belongs to the operator: the operator names revisions",
				"revisionTags: belongs to the operator: the operator moves the tags",
				"ztunnel.resourceName: belongs to the operator: a cluster has one ztunnel, and istiod trusts it by its name",
			},
		},
		"helm's own": {
			values: "{defaults: {hub: x}, _internal_defaults_do_not_set: {}, _original: {}}",
			want:   []string{"_internal_defaults_do_not_set: unknown", "_original: unknown", "defaults: unknown"},
		},
		"mesh": {values: `
meshConfig:
  accessLogFile: /dev/stdout
  connectTimeout: 5s
  enablePrometheusMerge: false
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  defaultConfig: {concurrency: 2, proxyMetadata: {ANY: x}, holdApplicationUntilProxyStarts: true}
  discoverySelectors: [{matchLabels: {a: b}, matchExpressions: [{key: a, operator: In, values: [b]}]}]
  extensionProviders: [{name: a, envoyExtAuthzHttp: {service: a.b, port: 80}}]
  defaultHttpRetryPolicy: {attempts: 2}
`},
		"mesh unknown": {
			values: "{meshConfig: {accessLogFil: x, defaultConfig: {concurency: 2}, extensionProviders: [{name: a, zipkin: {servic: x, port: 1}}], discoverySelectors: [{matchLabel: {}}]}}",
			want: []string{
				`meshConfig.accessLogFil: unknown, "accessLogFile" is known`,
				`meshConfig.defaultConfig.concurency: unknown, "concurrency" is known`,
				`meshConfig.discoverySelectors[0].matchLabel: unknown, "matchLabels" is known`,
				`meshConfig.extensionProviders[0].zipkin.servic: unknown, "service" is known`,
			},
		},
		"mesh of a wrong type": {
			values: "{meshConfig: {connectTimeout: soon}}",
			want:   []string{`meshConfig: invalid google.protobuf.Duration value "soon"`},
		},
		"mesh is no map": {values: "{meshConfig: x}", want: []string{"meshConfig: must be a map"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range Check(chartsOf(t, "1.31.0"), tree(t, test.values)) {
				got = append(got, p.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// TestVersions shows that a key is known to the versions that have it.
func TestVersions(t *testing.T) {
	values := tree(t, "{global: {networkPolicy: {enabled: true}}}")
	if got := Check(chartsOf(t, "1.27.0"), values); len(got) != 1 || got[0].Path != "global.networkPolicy" {
		t.Errorf("1.27.0: %v, want one problem", got)
	}
	if got := Check(chartsOf(t, "1.28.3"), values); len(got) != 0 {
		t.Errorf("1.28.3: %v, want none", got)
	}
}

// TestDefaultsAreKnown gives every chart its own default values and those of its profiles.
func TestDefaultsAreKnown(t *testing.T) {
	// Keys of charts that are not installed, and of ztunnel, which has its profile's at the top.
	foreign := []string{"gateways.istio-egressgateway", "gateways.istio-ingressgateway", "resourceQuotas", "seLinuxOptions", "ambient", "platform", "cni.global"}
	for _, version := range []string{"1.27.0", "1.28.3", "1.30.4", "1.31.0"} {
		charts := chartsOf(t, version)
		given := map[string]map[string]any{
			"istiod":  charts.Values(catalogue.Istiod),
			"base":    charts.Values(catalogue.Base),
			"pilot":   {"pilot": Without(charts.Values(catalogue.Istiod), "global", "meshConfig", "pilot", "base")},
			"cni":     {"cni": Without(charts.Values(catalogue.CNI), "global")},
			"ztunnel": {"ztunnel": Without(charts.Values(catalogue.ZTunnel), "global", "meshConfig")},
		}
		for path, text := range charts.Texts(catalogue.Istiod) {
			if strings.HasPrefix(path, "files/profile-") {
				given[path] = tree(t, string(text))
			}
		}
		for name, values := range given {
			for _, p := range Check(charts, values) {
				if !strings.HasPrefix(p.Message, "belongs to the operator") && !slices.Contains(foreign, p.Path) {
					t.Errorf("%s, %s: %s", version, name, p)
				}
			}
		}
	}
}

func TestMerge(t *testing.T) {
	a := tree(t, "{a: {b: 1, c: [1, 2]}, d: x}")
	b := tree(t, "{a: {b: 2, e: {f: 1}}, d: {g: 1}}")
	got := Merge(a, b)
	over(got, tree(t, "{a: {e: {f: 9}}}"))
	if want := tree(t, "{a: {b: 2, c: [1, 2], e: {f: 9}}, d: {g: 1}}"); !equal(t, got, want) {
		t.Errorf("got %v", got)
	}
	if !equal(t, b, tree(t, "{a: {b: 2, e: {f: 1}}, d: {g: 1}}")) || !equal(t, a, tree(t, "{a: {b: 1, c: [1, 2]}, d: x}")) {
		t.Error("an input has changed")
	}
	set := Set(a, "y", "a", "n", "m")
	if v, ok := Get(set, "a", "n", "m"); !ok || v != "y" {
		t.Errorf("got %v", set)
	}
	if _, ok := Get(set, "d", "n"); ok {
		t.Error("a value below a text is found")
	}
}

func equal(t *testing.T, a, b any) bool {
	t.Helper()
	one, err := yaml.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(one, other)
}

func FuzzCheck(f *testing.F) {
	f.Add("{pilot: {env: {A: b}}, meshConfig: {defaultConfig: {concurrency: 1}}}")
	f.Add("{global: [1], meshConfig: {extensionProviders: [1, {a: b}]}}")
	c, err := catalogue.Embedded()
	if err != nil {
		f.Fatal(err)
	}
	entries := c.Entries()
	charts, err := c.Charts(entries[len(entries)-1])
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values := map[string]any{}
		if yaml.Unmarshal([]byte(text), &values) != nil {
			return
		}
		first, second := Check(charts, values), Check(charts, values)
		if !slices.Equal(first, second) {
			t.Errorf("two answers to the same: %v, %v", first, second)
		}
	})
}
