// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// owned is one entry of managedFields.
func owned(manager string, age time.Duration, subresource, tree string) metav1.ManagedFieldsEntry {
	at := metav1.NewTime(epoch.Add(-age))
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &at, Subresource: subresource,
		FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(tree),
	}
}

func managedBy(t *testing.T, entries ...metav1.ManagedFieldsEntry) []byte {
	t.Helper()
	text, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBlame(t *testing.T) {
	want := `{"metadata":{"labels":{"a":"1"}},"spec":{"replicas":1,"limits":[{"type":"Pod","max":{"cpu":"1"}}],
		"ports":[{"name":"http","port":80,"protocol":"TCP"}],"verbs":["get"]}}`
	for name, c := range map[string]struct {
		found   string
		entries []metav1.ManagedFieldsEntry
		manager string
	}{
		"who owns it": {`{"spec":{"replicas":2}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:spec":{"f:replicas":{}}}`)}, "kubectl"},
		"the last of two": {`{"spec":{"replicas":2}}`, []metav1.ManagedFieldsEntry{
			owned("old", time.Hour, "", `{"f:spec":{"f:replicas":{}}}`), owned("new", time.Minute, "", `{"f:spec":{"f:replicas":{}}}`),
			owned("older", 2*time.Hour, "", `{"f:spec":{"f:replicas":{}}}`)}, "new"},
		"ourselves": {`{"spec":{"replicas":2}}`,
			[]metav1.ManagedFieldsEntry{owned("fairlead", 0, "", `{"f:spec":{"f:replicas":{}}}`)}, Unknown},
		"by a subresource": {`{"spec":{"replicas":2}}`,
			[]metav1.ManagedFieldsEntry{owned("scaler", 0, "scale", `{"f:spec":{"f:replicas":{}}}`)}, "scaler"},
		"another field": {`{"spec":{"replicas":2}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:spec":{"f:paused":{}}}`)}, Unknown},
		"an atomic list": {`{"spec":{"limits":[{"type":"Pod","max":{"cpu":"2"}}]}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:spec":{"f:limits":{}}}`)}, "kubectl"},
		"an element by its key as found": {`{"spec":{"ports":[{"name":"http","port":81,"protocol":"TCP"}]}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:spec":{"f:ports":{"k:{\"port\":81,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}}`)}, "kubectl"},
		"another element": {`{"spec":{"ports":[{"name":"http","port":81,"protocol":"TCP"}]}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}}}}`)}, Unknown},
		"an element of a set": {`{"spec":{"verbs":["get","watch"]}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:spec":{"f:verbs":{"v:\"watch\"":{}}}}`)}, "kubectl"},
		"only the map itself": {`{"metadata":{"labels":{"a":"2"}}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:metadata":{"f:labels":{".":{}}}}`)}, Unknown},
		"removed": {`{"metadata":{"labels":{}}}`,
			[]metav1.ManagedFieldsEntry{owned("kubectl", 0, "", `{"f:metadata":{"f:labels":{"f:a":{}}}}`)}, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			expected, err := parse([]byte(want))
			found, foundErr := parse([]byte(c.found))
			if err != nil || foundErr != nil {
				t.Fatal(err, foundErr)
			}
			live := &Object{managed: managedBy(t, c.entries...)}
			for key, value := range found { // Only what the case speaks of is expected.
				prune(expected[key].(fields), value.(fields))
			}
			for key := range expected {
				if _, spoken := found[key]; !spoken {
					delete(expected, key)
				}
			}
			got := changes(diffFields(expected, found), live, configMaps, epoch)
			if len(got) != 1 || got[0].Manager != c.manager {
				t.Errorf("changes are %+v, want one by %s", got, c.manager)
			}
		})
	}
}

func prune(tree, spoken fields) {
	for key := range tree {
		if _, ok := spoken[key]; !ok {
			delete(tree, key)
		}
	}
}

// TestTouches tells managers that own something of ours from those that own what is exempt.
func TestTouches(t *testing.T) {
	rendered := fields{"metadata": fields{"labels": fields{"ours": "x"}, "annotations": fields{"ours": "x"}}}
	for name, c := range map[string]struct {
		kind    Kind
		owns    string
		scaled  bool
		touches bool
	}{
		"a field":              {deployments, `{"f:spec":{"f:paused":{}}}`, false, true},
		"data":                 {configMaps, `{"f:data":{".":{},"f:x":{}}}`, false, true},
		"status":               {deployments, `{"f:status":{"f:replicas":{}}}`, false, false},
		"a foreign label":      {deployments, `{"f:metadata":{"f:labels":{"f:theirs":{}}}}`, false, false},
		"our label":            {deployments, `{"f:metadata":{"f:labels":{"f:ours":{}}}}`, false, true},
		"our annotation":       {deployments, `{"f:metadata":{"f:annotations":{"f:ours":{}}}}`, false, true},
		"finalizers":           {deployments, `{"f:metadata":{"f:finalizers":{"v:\"x\"":{}},"f:ownerReferences":{}}}`, false, false},
		"restart":              {deployments, `{"f:spec":{"f:template":{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/restartedAt":{}}}}}}`, false, false},
		"restart and more":     {deployments, `{"f:spec":{"f:template":{"f:metadata":{"f:annotations":{"f:x":{},"f:kubectl.kubernetes.io/restartedAt":{}}}}}}`, false, true},
		"replicas":             {deployments, `{"f:spec":{"f:replicas":{}}}`, false, true},
		"replicas scaled":      {deployments, `{"f:spec":{"f:replicas":{}}}`, true, false},
		"bundle":               {mutatingWebhooks, `{"f:webhooks":{"k:{\"name\":\"a\"}":{"f:clientConfig":{"f:caBundle":{}}}}}`, false, false},
		"policy of validator":  {validatingWebhooks, `{"f:webhooks":{"k:{\"name\":\"a\"}":{"f:failurePolicy":{}}}}`, false, false},
		"policy of mutator":    {mutatingWebhooks, `{"f:webhooks":{"k:{\"name\":\"a\"}":{"f:failurePolicy":{}}}}`, false, true},
		"bundle and url":       {mutatingWebhooks, `{"f:webhooks":{"k:{\"name\":\"a\"}":{"f:clientConfig":{"f:caBundle":{},"f:url":{}}}}}`, false, true},
		"secrets of a account": {serviceAccounts, `{"f:secrets":{".":{},"k:{\"name\":\"x\"}":{}},"f:imagePullSecrets":{}}`, false, false},
		"an atomic map":        {networkPolicies, `{"f:spec":{"f:podSelector":{}}}`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			owners := parseOwners(managedBy(t, owned("somebody", 0, "", c.owns)))
			if got := c.kind.touches(owners[0], rendered, c.scaled); got != c.touches {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestOwnerReferences(t *testing.T) {
	ref := func(version, uid string) any { return fields{"apiVersion": version, "uid": uid} }
	ours, other := "fleet.fairlead.io/v1alpha1", "apps/v1"
	for name, c := range map[string]struct{ live, want, merged []any }{
		"ours lost":              {nil, []any{ref(ours, "a")}, []any{ref(ours, "a")}},
		"foreign added":          {[]any{ref(ours, "a"), ref(other, "b")}, []any{ref(ours, "a")}, []any{ref(ours, "a"), ref(other, "b")}},
		"foreign first":          {[]any{ref(other, "b"), ref(ours, "a")}, []any{ref(ours, "a")}, []any{ref(other, "b"), ref(ours, "a")}},
		"foreign gone":           {[]any{ref(ours, "a")}, []any{ref(ours, "a"), ref(other, "b")}, []any{ref(ours, "a")}},
		"another owner of ours":  {[]any{ref(ours, "a"), ref(ours, "c")}, []any{ref(ours, "a")}, []any{ref(ours, "a")}},
		"ours lost among others": {[]any{ref(other, "b")}, []any{ref(ours, "a")}, []any{ref(other, "b"), ref(ours, "a")}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mergeReferences(c.live, c.want); fmt.Sprint(got) != fmt.Sprint(c.merged) {
				t.Errorf("got %v, want %v", got, c.merged)
			}
		})
	}
}
