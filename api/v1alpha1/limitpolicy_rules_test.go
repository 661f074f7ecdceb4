// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"slices"
	"strings"
	"testing"
)

const (
	amountSyntax = " is not an amount: write a number with at most three decimals and one of the suffixes k M G T P E Ki Mi Gi Ti Pi Ei or none, or a whole number and m"
	limitNames   = " is not a resource: use cpu, memory, ephemeral-storage, storage, hugepages-2Mi or a qualified name like nvidia.com/gpu of at most 240 characters"
	quotaNames   = " in hard is not a resource of a quota: use one like requests.cpu, limits.memory, requests.storage, pods, or a qualified name like count/deployments.apps of at most 240 characters"
	keySyntax    = " is not a label key: write name or domain/name"
	valueSyntax  = " is not a label value: use letters, digits, -, _ and ., with a letter or digit at both ends"
)

// A rule case is a spec, in YAML, and the messages of its refusal; none means that it is accepted.
type ruleCase struct {
	spec string
	want []string
	// stricter marks a refusal of something that the API server would accept in a LimitRange or ResourceQuota.
	stricter bool
}

var amountCases = map[string]ruleCase{
	"amounts in every form": {
		spec: `limits: [{type: Container, max: {cpu: "0", memory: 1Gi, ephemeral-storage: 1.5Ti, a/a: 100m, a/b: ".5", a/c: "0.001", a/d: 3k, a/e: 1P, a/f: 007Ki}}]`,
	},
	"an amount without quotes": {
		spec: `limits: [{type: Container, max: {cpu: 2}}]`,
		want: []string{`spec.limits[0].max.cpu: spec.limits[0].max.cpu in body must be of type string: "integer"`},
		// The API server takes numbers for quantities.
		stricter: true,
	},
	"an unknown suffix":          {spec: `limits: [{type: Pod, max: {cpu: 1X}}]`, want: []string{`spec.limits[0].max[cpu]: "1X"` + amountSyntax}},
	"a suffix alone":             {spec: `limits: [{type: Pod, min: {cpu: Mi}}]`, want: []string{`spec.limits[0].min[cpu]: "Mi"` + amountSyntax}, stricter: true},
	"no amount":                  {spec: `quota: {hard: {pods: ""}}`, want: []string{`spec.quota.hard[pods]: ""` + amountSyntax}},
	"a negative amount":          {spec: `limits: [{type: Pod, min: {cpu: "-1"}}]`, want: []string{`spec.limits[0].min[cpu]: "-1"` + amountSyntax}, stricter: true},
	"a negative quota":           {spec: `quota: {hard: {pods: "-1"}}`, want: []string{`spec.quota.hard[pods]: "-1"` + amountSyntax}},
	"an exponent":                {spec: `quota: {hard: {pods: "1e3"}}`, want: []string{`spec.quota.hard[pods]: "1e3"` + amountSyntax}, stricter: true},
	"a fourth decimal":           {spec: `quota: {hard: {cpu: "0.0001"}}`, want: []string{`spec.quota.hard[cpu]: "0.0001"` + amountSyntax}, stricter: true},
	"a fraction of a thousandth": {spec: `quota: {hard: {cpu: 0.5m}}`, want: []string{`spec.quota.hard[cpu]: "0.5m"` + amountSyntax}, stricter: true},
	"an amount of 25 characters": {
		spec: `quota: {hard: {cpu: "1000000000000000000000000"}}`, stricter: true,
		want: []string{`spec.quota.hard.cpu: Too long: may not be more than 24 bytes`},
	},
	"a quota of 9E":           {spec: `quota: {hard: {requests.storage: 9E}}`},
	"a quota of more than 9E": {spec: `quota: {hard: {requests.storage: 9.001E}}`, want: []string{`spec.quota.hard[requests.storage]: 9.001E is more than 9E, the most an amount can be`}, stricter: true},
	"a limit of 1P":           {spec: `limits: [{type: PersistentVolumeClaim, max: {storage: 1P}}]`},
	"a limit of more than 1P": {spec: `limits: [{type: PersistentVolumeClaim, max: {storage: 1Pi}}]`, want: []string{`spec.limits[0].max: storage 1Pi is more than 1P, the most a limit can be`}, stricter: true},
}

var limitCases = map[string]ruleCase{
	"one item of each type": {
		spec: `limits: [{type: Container, max: {cpu: "2"}}, {type: Pod, max: {cpu: "4"}}, {type: PersistentVolumeClaim, min: {storage: 1Gi}}]`,
	},
	"two items of a type": {
		spec: `limits: [{type: Pod, max: {cpu: "2"}}, {type: Pod, max: {memory: 1Gi}}]`,
		want: []string{`spec.limits[1]: Duplicate value: {"type":"Pod"}`},
	},
	"an unknown type": {
		spec: `limits: [{type: Node, max: {cpu: "2"}}]`,
		want: []string{`spec.limits[0].type: Unsupported value: "Node": supported values: "Container", "Pod", "PersistentVolumeClaim"`},
	},
	"neither limits nor quota": {spec: `priority: 1`, want: []string{`spec: set limits or quota: a policy with neither bounds nothing`}, stricter: true},
	"no item in limits":        {spec: `limits: []`, want: []string{`spec: set limits or quota: a policy with neither bounds nothing`}, stricter: true},
	"an item without a bound": {
		spec: `limits: [{type: Container, max: {}}]`, stricter: true,
		want: []string{`spec.limits[0]: type Container has no bound: set max, min, default, defaultRequest or maxLimitRequestRatio`},
	},
	"min, defaultRequest, default and max in order": {
		spec: `limits: [{type: Container, min: {memory: 256Mi}, defaultRequest: {memory: 0.25Gi}, default: {memory: 512Mi}, max: {memory: "536870912"}}]`,
	},
	"min above max": {
		spec: `limits: [{type: Pod, min: {memory: 1Gi}, max: {memory: 512Mi}}]`,
		want: []string{`spec.limits[0]: min[memory] 1Gi is greater than max[memory] 512Mi`},
	},
	"min above defaultRequest": {
		spec: `limits: [{type: Container, min: {cpu: 101m}, defaultRequest: {cpu: "0.1"}}]`,
		want: []string{`spec.limits[0]: min[cpu] 101m is greater than defaultRequest[cpu] 0.1`},
	},
	"min above default": {
		spec: `limits: [{type: Container, min: {cpu: "1"}, default: {cpu: 999m}}]`,
		want: []string{`spec.limits[0]: min[cpu] 1 is greater than default[cpu] 999m`},
	},
	"defaultRequest above default": {
		spec: `limits: [{type: Container, defaultRequest: {memory: 1Gi}, default: {memory: 1G}}]`,
		want: []string{`spec.limits[0]: defaultRequest[memory] 1Gi is greater than default[memory] 1G`},
	},
	"defaultRequest above max": {
		spec: `limits: [{type: PersistentVolumeClaim, defaultRequest: {storage: 2Ti}, max: {storage: 1Ti}}]`,
		want: []string{`spec.limits[0]: defaultRequest[storage] 2Ti is greater than max[storage] 1Ti`},
	},
	"default above max": {
		spec: `limits: [{type: Container, default: {cpu: "2"}, max: {cpu: "1"}}]`,
		want: []string{`spec.limits[0]: default[cpu] 2 is greater than max[cpu] 1`},
	},
	"default for type Pod": {
		spec: `limits: [{type: Pod, default: {cpu: "2"}}]`,
		want: []string{`spec.limits[0]: default[cpu] 2 is not allowed for type Pod: only containers have defaults`},
	},
	"defaultRequest for type Pod": {
		spec: `limits: [{type: Pod, max: {cpu: "2"}, defaultRequest: {cpu: "2"}}]`,
		want: []string{`spec.limits[0]: defaultRequest[cpu] 2 is not allowed for type Pod: only containers have defaults`},
	},
	"an empty default for type Pod": {spec: `limits: [{type: Pod, max: {cpu: "2"}, default: {}, defaultRequest: {}}]`},
	"a claim without storage": {
		spec: `limits: [{type: PersistentVolumeClaim, default: {storage: 1Gi}}]`,
		want: []string{`spec.limits[0]: type PersistentVolumeClaim needs min[storage] or max[storage]`},
	},
	"a ratio of max divided by min": {
		spec: `limits: [{type: Pod, min: {cpu: 300m, memory: 1Gi}, max: {cpu: "1", memory: 2Gi}, maxLimitRequestRatio: {cpu: "3.333", memory: "2"}}]`,
	},
	"a ratio without max":     {spec: `limits: [{type: Pod, min: {cpu: 300m}, maxLimitRequestRatio: {cpu: "1"}}]`},
	"a ratio with a min of 0": {spec: `limits: [{type: Pod, min: {cpu: "0"}, max: {cpu: "1"}, maxLimitRequestRatio: {cpu: "9"}}]`},
	"a ratio above max divided by min": {
		spec: `limits: [{type: Pod, min: {cpu: 300m}, max: {cpu: "1"}, maxLimitRequestRatio: {cpu: "3.334"}}]`,
		want: []string{`spec.limits[0]: maxLimitRequestRatio[cpu] 3.334 is greater than max[cpu] 1 divided by min[cpu] 300m`},
	},
	"a ratio above max divided by min by one byte": {
		spec: `limits: [{type: Pod, min: {memory: 1Ti}, max: {memory: "2199023255551"}, maxLimitRequestRatio: {memory: "2"}}]`,
		want: []string{`spec.limits[0]: maxLimitRequestRatio[memory] 2 is greater than max[memory] 2199023255551 divided by min[memory] 1Ti`},
	},
	"a ratio at max divided by min, with fractions of bytes": {
		spec: `limits: [{type: Pod, min: {memory: 0.4Ti}, max: {memory: 0.8Ti}, maxLimitRequestRatio: {memory: "2"}}]`, stricter: true,
		want: []string{`spec.limits[0]: maxLimitRequestRatio[memory] 2 is greater than max[memory] 0.8Ti divided by min[memory] 0.4Ti`},
	},
	"a ratio below 1": {
		spec: `limits: [{type: Container, maxLimitRequestRatio: {cpu: 999m}}]`,
		want: []string{`spec.limits[0]: maxLimitRequestRatio[cpu] 999m is less than 1`},
	},
	"equal defaults of a resource without overcommit": {
		spec: `limits: [{type: Container, default: {hugepages-2Mi: 4Mi}, defaultRequest: {hugepages-2Mi: 4096Ki, cpu: "1"}, max: {hugepages-2Mi: 8Mi, cpu: "2"}}]`,
	},
	"unequal defaults of a resource without overcommit": {
		spec: `limits: [{type: Container, default: {nvidia.com/gpu: "2"}, defaultRequest: {nvidia.com/gpu: "1"}}]`,
		want: []string{`spec.limits[0]: defaultRequest[nvidia.com/gpu] 1 is not equal to default[nvidia.com/gpu] 2, and nvidia.com/gpu cannot be overcommitted`},
	},
	"a default taken from max of a resource without overcommit": {
		spec: `limits: [{type: Container, max: {hugepages-2Mi: 8Mi}, defaultRequest: {hugepages-2Mi: 4Mi}}]`,
		want: []string{`spec.limits[0]: defaultRequest[hugepages-2Mi] 4Mi is not equal to max[hugepages-2Mi] 8Mi, the default where none is set, and hugepages-2Mi cannot be overcommitted`},
	},
	"a default that a claim does not take from max": {
		spec: `limits: [{type: PersistentVolumeClaim, max: {storage: 1Gi, a.com/b: "2"}, defaultRequest: {a.com/b: "1"}}]`,
	},
	"a resource that does not exist": {
		spec: `limits: [{type: Container, max: {mem: 1Gi}}]`,
		want: []string{`spec.limits[0].max: "mem"` + limitNames},
	},
	"a resource that is not a qualified name": {
		spec: `limits: [{type: Container, maxLimitRequestRatio: {NVIDIA.com/gpu: "1"}}]`,
		want: []string{`spec.limits[0].maxLimitRequestRatio: "NVIDIA.com/gpu"` + limitNames},
	},
	"a resource of a quota": {
		spec: `limits: [{type: Container, defaultRequest: {requests.nvidia.com/gpu: "1"}}]`,
		want: []string{`spec.limits[0].defaultRequest: "requests.nvidia.com/gpu"` + limitNames},
	},
	"storage for a container": {
		spec: `limits: [{type: Container, min: {storage: 1Gi}}]`,
		want: []string{`spec.limits[0]: min[storage] is not for type Container: use ephemeral-storage`},
	},
	"storage for the default of a container": {
		spec: `limits: [{type: Container, default: {storage: 1Gi}}]`,
		want: []string{`spec.limits[0]: default[storage] is not for type Container: use ephemeral-storage`},
	},
}

var quotaCases = map[string]ruleCase{
	"a quota of every kind of resource": {
		spec: `quota: {hard: {cpu: "1", requests.cpu: 500m, limits.memory: 1Gi, requests.ephemeral-storage: 1G, requests.storage: 1Ti, hugepages-2Mi: 2Mi, requests.hugepages-1Gi: 1Gi,
  pods: "10", services: "3", services.nodeports: "0", count/deployments.apps: 1k, requests.nvidia.com/gpu: "4", gold.storageclass.storage.k8s.io/requests.storage: 1Gi}}`,
	},
	"no hard bound":           {spec: `quota: {hard: {}}`, want: []string{`spec.quota.hard: 0: spec.quota.hard in body should have at least 1 properties`}, stricter: true},
	"storage in a quota":      {spec: `quota: {hard: {storage: 1Gi}}`, want: []string{`spec.quota: "storage"` + quotaNames}},
	"an unknown object":       {spec: `quota: {hard: {deployments.apps: "1"}}`, want: []string{`spec.quota: "deployments.apps"` + quotaNames}},
	"a count of every shape":  {spec: `quota: {hard: {pods: "1.0", secrets: 3000m, configmaps: 1.5k, services: 1P, count/a: 0.5Ki}}`},
	"half an object":          {spec: `quota: {hard: {pods: 1500m}}`, want: []string{`spec.quota: hard[pods] 1500m must be a whole number of at most 1P`}},
	"half a device":           {spec: `quota: {hard: {nvidia.com/gpu: "0.5"}}`, want: []string{`spec.quota: hard[nvidia.com/gpu] 0.5 must be a whole number of at most 1P`}},
	"half a requested device": {spec: `quota: {hard: {requests.nvidia.com/gpu: "0.5"}}`},
	"too many objects":        {spec: `quota: {hard: {pods: 2P}}`, want: []string{`spec.quota: hard[pods] 2P must be a whole number of at most 1P`}, stricter: true},
	"every scope for pods": {
		spec: `quota: {hard: {pods: "1", count/pods: "1"}, scopes: [Terminating, NotBestEffort, PriorityClass, CrossNamespacePodAffinity]}`,
	},
	"an unknown scope": {
		spec: `quota: {hard: {pods: "1"}, scopes: [Running]}`,
		want: []string{`spec.quota.scopes[0]: Unsupported value: "Running": supported values: "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"`},
	},
	"a scope twice": {
		spec: `quota: {hard: {pods: "1"}, scopes: [BestEffort, BestEffort]}`, stricter: true,
		want: []string{`spec.quota.scopes[1]: Duplicate value: "BestEffort"`},
	},
	"Terminating and NotTerminating": {
		spec: `quota: {hard: {pods: "1"}, scopes: [Terminating, NotTerminating]}`,
		want: []string{`spec.quota: scopes Terminating and NotTerminating exclude each other`},
	},
	"BestEffort and NotBestEffort": {
		spec: `quota: {hard: {pods: "1"}, scopes: [BestEffort, NotBestEffort]}`,
		want: []string{`spec.quota: scopes BestEffort and NotBestEffort exclude each other`},
	},
	"a resource that BestEffort does not bound": {
		spec: `quota: {hard: {pods: "1", requests.cpu: "1"}, scopes: [BestEffort]}`,
		want: []string{`spec.quota: scope BestEffort does not bound hard[requests.cpu], only pods`},
	},
	"a resource that Terminating does not bound": {
		spec: `quota: {hard: {secrets: "1"}, scopes: [Terminating]}`,
		want: []string{`spec.quota: scope Terminating does not bound hard[secrets], only pods, cpu, memory, and requests and limits of these`},
	},
	"huge pages that Terminating does not bound": {
		spec: `quota: {hard: {hugepages-2Mi: 2Mi}, scopes: [Terminating]}`,
		want: []string{`spec.quota: scope Terminating does not bound hard[hugepages-2Mi], only pods, cpu, memory, and requests and limits of these`},
	},
	"a resource that VolumeAttributesClass does not bound": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: VolumeAttributesClass, operator: Exists}]}}`,
		want: []string{`spec.quota: scope VolumeAttributesClass does not bound hard[pods], only persistentvolumeclaims and requests.storage`},
	},
}

var scopeSelectorCases = map[string]ruleCase{
	"every operator of PriorityClass": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [low, high]}, {scopeName: PriorityClass, operator: NotIn, values: [low]},
  {scopeName: PriorityClass, operator: Exists}, {scopeName: PriorityClass, operator: DoesNotExist, values: []}, {scopeName: NotBestEffort, operator: Exists}]}}`,
	},
	"no expression": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: []}}`, stricter: true,
		want: []string{`spec.quota.scopeSelector.matchExpressions: 0: spec.quota.scopeSelector.matchExpressions in body should have at least 1 items`},
	},
	"an unknown operator": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Is}]}}`,
		want: []string{`spec.quota.scopeSelector.matchExpressions[0].operator: Unsupported value: "Is": supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
	},
	"an operator that a scope does not take": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: Terminating, operator: DoesNotExist}]}}`,
		want: []string{`spec.quota.scopeSelector.matchExpressions[0]: operator DoesNotExist is not for scope Terminating: use Exists`},
	},
	"In without values": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: []}]}}`,
		want: []string{`spec.quota.scopeSelector.matchExpressions[0]: operator In needs values`},
	},
	"Exists with values": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists, values: [low]}]}}`,
		want: []string{`spec.quota.scopeSelector.matchExpressions[0]: operator Exists takes no values, but has low`},
	},
	"a value that no class can have": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [low, "very high"]}]}}`, stricter: true,
		want: []string{`spec.quota.scopeSelector.matchExpressions[0]: "very high" in values is not a name: use letters, digits, -, _ and ., with a letter or digit at both ends`},
	},
	"a value twice": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [low, low]}]}}`, stricter: true,
		want: []string{`spec.quota.scopeSelector.matchExpressions[0].values[1]: Duplicate value: "low"`},
	},
	"scopes that exclude each other": {
		spec: `quota: {hard: {pods: "1"}, scopeSelector: {matchExpressions: [{scopeName: Terminating, operator: Exists}, {scopeName: NotTerminating, operator: Exists},
  {scopeName: BestEffort, operator: Exists}, {scopeName: NotBestEffort, operator: Exists}]}}`,
		want: []string{
			`spec.quota.scopeSelector: scopes BestEffort and NotBestEffort exclude each other`,
			`spec.quota.scopeSelector: scopes Terminating and NotTerminating exclude each other`,
		},
	},
	"a resource that a scope of the selector does not bound": {
		spec: `quota: {hard: {services: "1"}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: Exists}]}}`,
		want: []string{`spec.quota: scope PriorityClass does not bound hard[services], only pods, cpu, memory, and requests and limits of these`},
	},
}

var selectorCases = map[string]ruleCase{
	"every operator": {
		spec: `namespaceSelector: {matchLabels: {tier: team, example.com/Tier_1: ""}, matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [a, b.c_D-e]},
  {key: a, operator: NotIn, values: [""]}, {key: a, operator: Exists, values: []}, {key: b, operator: DoesNotExist}]}`,
	},
	"no selector":   {spec: `namespaceSelector: null`, want: []string{`spec.namespaceSelector: Required value`}, stricter: true},
	"a label key":   {spec: `namespaceSelector: {matchLabels: {a b: c}}`, want: []string{`spec.namespaceSelector: "a b" in matchLabels` + keySyntax + `, at most 253 characters`}},
	"a label value": {spec: `namespaceSelector: {matchLabels: {a: b c}}`, want: []string{`spec.namespaceSelector.matchLabels[a]: "b c"` + valueSyntax}},
	"a label of 64 characters": {
		spec: `namespaceSelector: {matchLabels: {a: ` + strings.Repeat("b", 64) + `}}`,
		want: []string{`spec.namespaceSelector.matchLabels.a: Too long: may not be more than 63 bytes`},
	},
	"a key of an expression":   {spec: `namespaceSelector: {matchExpressions: [{key: -a, operator: Exists}]}`, want: []string{`spec.namespaceSelector.matchExpressions[0]: key "-a"` + keySyntax}},
	"a value of an expression": {spec: `namespaceSelector: {matchExpressions: [{key: a, operator: In, values: [b, -]}]}`, want: []string{`spec.namespaceSelector.matchExpressions[0].values[1]: "-"` + valueSyntax}},
	"an operator of an expression": {
		spec: `namespaceSelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}`,
		want: []string{`spec.namespaceSelector.matchExpressions[0].operator: Unsupported value: "Equals": supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
	},
	"NotIn without values": {spec: `namespaceSelector: {matchExpressions: [{key: a, operator: NotIn}]}`, want: []string{`spec.namespaceSelector.matchExpressions[0]: operator NotIn needs values`}},
	"DoesNotExist with values": {
		spec: `namespaceSelector: {matchExpressions: [{key: a, operator: DoesNotExist, values: [b]}]}`,
		want: []string{`spec.namespaceSelector.matchExpressions[0]: operator DoesNotExist takes no values, but has "b"`},
	},
}

func TestAmountRules(t *testing.T)        { testRules(t, amountCases) }
func TestLimitRules(t *testing.T)         { testRules(t, limitCases) }
func TestQuotaRules(t *testing.T)         { testRules(t, quotaCases) }
func TestScopeSelectorRules(t *testing.T) { testRules(t, scopeSelectorCases) }
func TestSelectorRules(t *testing.T)      { testRules(t, selectorCases) }

func testRules(t *testing.T, cases map[string]ruleCase) {
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := fromYAML(tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			s.fill()
			err = s.create(t.Context())
			var got []string
			if err != nil {
				got = messages(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("the policy's refusal\n got %q\nwant %q", got, tc.want)
			}
			later, err := refused(s.createChildren(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			if want := tc.want != nil && !tc.stricter; later != want {
				t.Errorf("LimitRange and ResourceQuota refused: %t, want %t", later, want)
			}
		})
	}
}

// fill adds what every spec needs, so that a case shows only what it is about.
func (s spec) fill() {
	if _, ok := s["namespaceSelector"]; !ok {
		s["namespaceSelector"] = map[string]any{}
	} else {
		s["quota"] = map[string]any{"hard": map[string]any{"pods": "1"}}
	}
}

// TestWholeMessage shows one refusal as kubectl prints it.
func TestWholeMessage(t *testing.T) {
	s, err := fromYAML(`{namespaceSelector: {}, limits: [{type: Container, min: {memory: 1Gi}, max: {memory: 512Mi}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	const want = `LimitPolicy.fleet.fairlead.io "policy" is invalid: spec.limits[0]: Invalid value: min[memory] 1Gi is greater than max[memory] 512Mi`
	// Before Kubernetes 1.35 the type of the value stands before the message.
	got := strings.Replace(s.create(t.Context()).Error(), `"object": `, "", 1)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
