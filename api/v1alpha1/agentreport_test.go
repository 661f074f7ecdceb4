// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// TestAgentReportBounds shows that a pod cannot write more than a page into a report.
func TestAgentReportBounds(t *testing.T) {
	record := func(field, value string) map[string]any {
		r := map[string]any{"object": "a", "manager": "b", "time": "2026-01-01T00:00:00Z", "repaired": true}
		r[field] = value
		return map[string]any{"loadBalancer": "a", "repairs": []any{r}}
	}
	problem := func(field, value string) map[string]any {
		p := map[string]any{"field": "a", "reason": "b", "message": "c"}
		p[field] = value
		return map[string]any{"loadBalancer": "a", "problems": map[string]any{"count": 1, "top": []any{p}}}
	}
	report := func(field string, value any) map[string]any {
		r := map[string]any{"loadBalancer": "a"}
		r[field] = value
		return r
	}
	long := func(n int) string { return strings.Repeat("a", n) }
	for name, tc := range map[string]struct {
		report map[string]any
		ok     bool
	}{
		"the whole": {map[string]any{
			"loadBalancer": "shop", "generation": 3, "model": "sha256:00ff", "version": "3.2.4-1+deb13u1", "reloads": 2, "refused": long(1024), "problems": problem("message", long(1024))["problems"], "repairs": record("object", long(512))["repairs"],
		}, true},
		"no load balancer":         {map[string]any{}, false},
		"a name in capitals":       {report("loadBalancer", "A"), false},
		"a generation below 0":     {report("generation", -1), false},
		"reloads below 0":          {report("reloads", -1), false},
		"a long model":             {report("model", long(65)), false},
		"a model of two lines":     {report("model", "a\nb"), false},
		"a version of two lines":   {report("version", "3.2\n"), false},
		"a long refusal":           {report("refused", long(1025)), false},
		"a long problem":           {problem("message", long(1025)), false},
		"a long field":             {problem("field", long(257)), false},
		"a long reason":            {problem("reason", long(65)), false},
		"fewer problems than some": {report("problems", map[string]any{"count": 0, "top": []any{map[string]any{"field": "a", "reason": "b", "message": "c"}}}), false},
		"eleven problems": {report("problems", map[string]any{"count": 11, "top": list(11, func(int) map[string]any {
			return map[string]any{"field": "a", "reason": "b", "message": "c"}
		})}), false},
		"a long object":  {record("object", long(513)), false},
		"a long value":   {record("found", long(257)), false},
		"a long manager": {record("manager", long(257)), false},
	} {
		obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "AgentReport", "report": tc.report}}
		obj.SetNamespace(namespace)
		obj.SetName("shop-0")
		got, err := refused(server.Create(t.Context(), obj, client.DryRunAll))
		if err != nil || got == tc.ok {
			t.Errorf("%s: refused %t, %v", name, got, err)
		}
	}
}
