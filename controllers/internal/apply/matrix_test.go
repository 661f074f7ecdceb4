// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// cell is one change of one kind in the drift matrix.
type cell struct {
	// patch is the foreign change, as a JSON patch (RFC 6902).
	patch string
	// path is the field that the repair has to name.
	path string
	// manager is who has to be named; empty for the editor.
	manager string
	// na says why there is no such change of this kind.
	na string
}

func notApplicable(why string) cell { return cell{na: why} }

// matrixKind is a row of the drift matrix.
type matrixKind struct {
	kind   Kind
	object func(namespace, name string) client.Object
	// value changes a value, removed removes a field, added adds a list entry, key adds a map key.
	value, removed, added, key cell
	// disputed says that a controller of Kubernetes writes the spec too while a map key stands, so that the
	// number of repairs is not ours to say.
	disputed string
	// reclaimed says that a deleted object's values are free only a moment after its end is told, so that the
	// first creations may be refused.
	reclaimed string
}

const noMaps = "it has no map besides labels and annotations, where foreign keys are exempt"

var matrix = []matrixKind{{
	kind: limitRanges, object: limitRange,
	value:   cell{patch: `[{"op":"replace","path":"/spec/limits/0/max/memory","value":"1Gi"}]`, path: "spec.limits[type=Container].max[memory]"},
	removed: cell{patch: `[{"op":"remove","path":"/spec/limits/0/min"}]`, path: "spec.limits[type=Container].min[memory]", manager: Unknown},
	added:   cell{patch: `[{"op":"add","path":"/spec/limits/-","value":{"type":"Pod","max":{"memory":"1Gi"}}}]`, path: "spec.limits[type=Pod]"},
	key:     cell{patch: `[{"op":"add","path":"/spec/limits/0/max/cpu","value":"4"}]`, path: "spec.limits[type=Container].max[cpu]"},
}, {
	kind: quotas, object: resourceQuota,
	value:   cell{patch: `[{"op":"replace","path":"/spec/hard/persistentvolumeclaims","value":"20"}]`, path: "spec.hard[persistentvolumeclaims]"},
	removed: cell{patch: `[{"op":"remove","path":"/spec/hard/requests.storage"}]`, path: "spec.hard[requests.storage]", manager: Unknown},
	added:   notApplicable("its lists, scopes and scopeSelector, cannot be changed in place; see TestRecreated"),
	key:     cell{patch: `[{"op":"add","path":"/spec/hard/services","value":"5"}]`, path: "spec.hard[services]"},
}, {
	kind: configMaps, object: configMap,
	value:   cell{patch: `[{"op":"replace","path":"/data/a","value":"x"}]`, path: "data[a]"},
	removed: cell{patch: `[{"op":"remove","path":"/data/b"}]`, path: "data[b]", manager: Unknown},
	added:   notApplicable("it has no list besides finalizers and owner references, where foreign entries are exempt"),
	key:     cell{patch: `[{"op":"add","path":"/data/x","value":"y"}]`, path: "data[x]"},
}, {
	kind: services, object: service,
	value:     cell{patch: `[{"op":"replace","path":"/spec/ports/0/targetPort","value":9090}]`, path: "spec.ports[name=http].targetPort"},
	removed:   cell{patch: `[{"op":"remove","path":"/spec/selector/tier"}]`, path: "spec.selector[tier]", manager: Unknown},
	added:     cell{patch: `[{"op":"add","path":"/spec/ports/-","value":{"name":"x","port":81}}]`, path: "spec.ports[name=x]"},
	key:       cell{patch: `[{"op":"add","path":"/spec/selector/x","value":"y"}]`, path: "spec.selector[x]"},
	reclaimed: "its address",
}, {
	kind: deployments, object: deployment,
	value: cell{patch: `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"example.com/app:2"}]`,
		path: "spec.template.spec.containers[name=app].image"},
	removed: cell{patch: `[{"op":"remove","path":"/spec/template/spec/containers/0/env"}]`,
		path: "spec.template.spec.containers[name=app].env", manager: Unknown},
	added: cell{patch: `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"x","image":"example.com/x"}}]`,
		path: "spec.template.spec.containers[name=x]"},
	key: cell{patch: `[{"op":"add","path":"/spec/template/metadata/labels/x","value":"y"}]`, path: "spec.template.metadata.labels[x]"},
}, {
	kind: serviceAccounts, object: serviceAccount,
	value:   cell{patch: `[{"op":"replace","path":"/automountServiceAccountToken","value":true}]`, path: "automountServiceAccountToken"},
	removed: cell{patch: `[{"op":"remove","path":"/automountServiceAccountToken"}]`, path: "automountServiceAccountToken", manager: Unknown},
	added:   notApplicable("its lists, secrets and imagePullSecrets, are exempt; see TestIgnored"),
	key:     notApplicable(noMaps),
}, {
	kind: roles, object: role,
	value:   cell{patch: `[{"op":"replace","path":"/rules/0/verbs/0","value":"watch"}]`, path: "rules[0].verbs[0]"},
	removed: cell{patch: `[{"op":"remove","path":"/rules/0/resourceNames"}]`, path: "rules[0].resourceNames", manager: Unknown},
	added:   cell{patch: `[{"op":"add","path":"/rules/-","value":{"apiGroups":[""],"resources":["pods"],"verbs":["*"]}}]`, path: "rules[1]"},
	key:     notApplicable(noMaps),
}, {
	kind: roleBindings, object: roleBinding,
	value:   cell{patch: `[{"op":"replace","path":"/subjects/0/name","value":"x"}]`, path: "subjects[name=x]"},
	removed: cell{patch: `[{"op":"remove","path":"/subjects"}]`, path: "subjects", manager: Unknown},
	added:   cell{patch: `[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"x","apiGroup":"rbac.authorization.k8s.io"}}]`, path: "subjects[name=x]"},
	key:     notApplicable(noMaps),
}, {
	kind: clusterRoles, object: clusterRole,
	value:   cell{patch: `[{"op":"replace","path":"/rules/0/verbs/0","value":"watch"}]`, path: "rules[0].verbs[0]"},
	removed: cell{patch: `[{"op":"remove","path":"/rules/0/resourceNames"}]`, path: "rules[0].resourceNames", manager: Unknown},
	added:   cell{patch: `[{"op":"add","path":"/rules/-","value":{"apiGroups":[""],"resources":["pods"],"verbs":["*"]}}]`, path: "rules[1]"},
	key: cell{patch: `[{"op":"add","path":"/aggregationRule","value":{"clusterRoleSelectors":[{"matchLabels":{"no":"such"}}]}}]`,
		path: "aggregationRule.clusterRoleSelectors"},
	disputed: "the aggregation controller empties the rules while an aggregationRule stands",
}, {
	kind: hpas, object: hpa,
	value:   cell{patch: `[{"op":"replace","path":"/spec/maxReplicas","value":9}]`, path: "spec.maxReplicas"},
	removed: cell{patch: `[{"op":"remove","path":"/spec/minReplicas"}]`, path: "spec.minReplicas"},
	added: cell{patch: `[{"op":"add","path":"/spec/metrics/-","value":{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}}}]`,
		path: "spec.metrics[type=Resource]"},
	key: cell{patch: `[{"op":"add","path":"/spec/metrics/0/pods/metric/selector/matchLabels/x","value":"y"}]`,
		path: "spec.metrics[type=Pods].pods.metric.selector.matchLabels[x]"},
}, {
	kind: pdbs, object: pdb,
	value:   cell{patch: `[{"op":"replace","path":"/spec/minAvailable","value":2}]`, path: "spec.minAvailable"},
	removed: cell{patch: `[{"op":"remove","path":"/spec/unhealthyPodEvictionPolicy"}]`, path: "spec.unhealthyPodEvictionPolicy", manager: Unknown},
	added: cell{patch: `[{"op":"add","path":"/spec/selector/matchExpressions/-","value":{"key":"x","operator":"Exists"}}]`,
		path: "spec.selector.matchExpressions[key=x]"},
	key: cell{patch: `[{"op":"add","path":"/spec/selector/matchLabels/x","value":"y"}]`, path: "spec.selector.matchLabels[x]"},
}, {
	kind: networkPolicies, object: networkPolicy,
	value:   cell{patch: `[{"op":"replace","path":"/spec/ingress/0/ports/0/port","value":81}]`, path: "spec.ingress[0].ports[port=81]"},
	removed: cell{patch: `[{"op":"remove","path":"/spec/ingress/0/from"}]`, path: "spec.ingress[0].from", manager: Unknown},
	added:   cell{patch: `[{"op":"add","path":"/spec/ingress/-","value":{}}]`, path: "spec.ingress[1]"},
	key:     cell{patch: `[{"op":"add","path":"/spec/podSelector/matchLabels/x","value":"y"}]`, path: "spec.podSelector.matchLabels[x]"},
}}

// TestDriftMatrix makes every change to every kind, with events as the only sign of it, and with caches
// that hold everything or only what bears our label.
func TestDriftMatrix(t *testing.T) {
	t.Parallel()
	kinds := make([]Kind, len(matrix))
	for i, row := range matrix {
		kinds[i] = row.kind
	}
	t.Run("whole", func(t *testing.T) { runMatrix(t, kinds) })
	t.Run("selective", func(t *testing.T) { runMatrix(t, selective(kinds...)) })
}

func runMatrix(t *testing.T, kinds []Kind) {
	t.Parallel()
	o := startOperator(t, operatorOptions{kinds: kinds, name: t.Name()})
	for i, row := range matrix {
		row.kind = kinds[i]
		namespace := testutil.Namespace(t, cluster.Config(t), "matrix")
		t.Run(row.kind.GVK.Kind, func(t *testing.T) {
			t.Parallel()
			row.run(t, o, namespace)
		})
	}
}

func (row matrixKind) run(t *testing.T, o *operator, namespace string) {
	label := `[{"op":"remove","path":"/metadata/labels/app.kubernetes.io~1managed-by"}]`
	marks := `[{"op":"remove","path":"/metadata/labels"},{"op":"remove","path":"/metadata/annotations"}]`
	for name, c := range map[string]cell{
		"value changed":    row.value,
		"field removed":    row.removed,
		"list entry added": row.added,
		"map key added":    row.key,
		"label removed":    {patch: label, path: "metadata.labels[app.kubernetes.io/managed-by]", manager: Unknown},
		"marks removed":    {patch: marks, path: "metadata.annotations[fleet.fairlead.io/set]", manager: Unknown},
	} {
		if c.na != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := row.made(t, o, namespace, name)
			m.patch(m.ref, c.patch)
			m.repaired(c)
			hidden := row.kind.Selective && slices.Contains([]string{"label removed", "marks removed"}, name)
			m.requests(hidden, row.disputed != "" && name == "map key added", false)
		})
	}
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		m := row.made(t, o, namespace, "deleted")
		o.remove(m.ref)
		m.repaired(cell{path: "", manager: Unknown})
		m.requests(row.kind.Selective, false, row.reclaimed != "")
	})
	t.Run("replaced with our marks", func(t *testing.T) {
		t.Parallel()
		m := row.made(t, o, namespace, "replaced-marked")
		o.replace(m.key, m.ref, func(object fields) { applyPatch(t, object, row.value.patch) })
		m.repaired(row.value)
		if done := m.done(m.ref); len(done) != 2 || done[1].Method != http.MethodPatch {
			t.Errorf("writes were %+v, want one that made it and one that repaired the other", done)
		}
	})
	t.Run("replaced without our marks", func(t *testing.T) {
		t.Parallel()
		row.made(t, o, namespace, "replaced-foreign").conflicts(row.value.patch)
	})
}

// member is an object of the matrix that is in force.
type member struct {
	*operator
	t      *testing.T
	key    string
	ref    Ref
	before string
	from   int
}

func (row matrixKind) made(t *testing.T, o *operator, namespace, change string) *member {
	t.Helper()
	name := strings.ReplaceAll(change, " ", "-")
	if row.kind.GVK.Kind == "ClusterRole" {
		name = namespace + "-" + name
	}
	object := row.object(namespace, name)
	m := &member{operator: o, t: t, key: fmt.Sprintf("matrix/%s/%s/%s", namespace, row.kind.GVK.Kind, name)}
	o.applied(m.key, object)
	m.ref = o.ref(object)
	m.before, m.from = revision.ReplaceAllString(o.content(m.ref), ""), o.now(m.key)
	return m
}

// revision is what the deployment controller counts in an annotation.
var revision = regexp.MustCompile(`"deployment.kubernetes.io/revision":"[0-9]+",?`)

// repaired waits until the object is as before, and checks what is told of the repair.
func (m *member) repaired(c cell) {
	m.t.Helper()
	manager := c.manager
	if manager == "" {
		manager = editor
	}
	drift := m.drift(m.key, m.from)
	testutil.Eventually(m.t, soon, "the object is as before", func() (bool, string) {
		now := revision.ReplaceAllString(m.content(m.ref), "")
		return now == m.before, "it is " + now + ", was " + m.before
	})
	i := slices.IndexFunc(drift.Changes, func(change Change) bool { return change.Path == c.path })
	if i < 0 {
		m.t.Fatalf("the drift tells of %+v, want %q", drift.Changes, c.path)
	}
	if drift.Changes[i].Manager != manager {
		m.t.Errorf("%s was changed by %q, want %q", c.path, drift.Changes[i].Manager, manager)
	}
	if !drift.Repaired || drift.Latency <= 0 {
		m.t.Errorf("drift is %+v, want it repaired and timed", drift)
	}
}

// requests checks what the repair cost: one write, and one read where the cache could not show the object.
func (m *member) requests(hidden, disputed, reclaimed bool) {
	m.t.Helper()
	all := m.operator.requests.To(m.path(m.ref))[1:] // The first one made it.
	var reads, writes, done int
	for _, r := range all {
		switch {
		case !r.Write():
			reads++
		case r.Done():
			done++
			fallthrough
		default:
			writes++
		}
	}
	if (reads != 0) != hidden || !reclaimed && reads > 1 || !disputed && done != 1 || !disputed && !reclaimed && writes != 1 {
		m.t.Errorf("the repair took %+v", all)
	}
}

// conflicts has the object replaced by one without our marks, and checks that it is told and left alone.
func (m *member) conflicts(patch string) {
	m.t.Helper()
	foreign := m.replace(m.key, m.ref, func(object fields) {
		applyPatch(m.t, object, patch)
		meta := object["metadata"].(fields)
		delete(meta, "annotations")
		delete(meta["labels"].(fields), v1alpha1.LabelManagedBy)
	})
	found := m.await(m.key, m.from, "a conflict", func(r run) bool { return len(r.Conflicts) > 0 })
	if found.Conflicts[0].Ref != m.ref || found.Done() || len(found.Drifts) > 0 {
		m.t.Errorf("got %+v, want a conflict over %s and nothing else", found, m.ref)
	}
	// The first write made the object that was there before.
	if done := m.done(m.ref); m.get(m.ref).GetUID() != foreign.GetUID() || len(done) != 1 {
		m.t.Errorf("the foreign object was written: %+v", done)
	}
}

// applyPatch changes an object by a JSON patch.
func applyPatch(t *testing.T, object fields, patch string) {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = decoded.Apply(raw); err != nil {
		t.Fatal(err)
	}
	changed, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(object)
	for key, value := range changed {
		object[key] = value
	}
}
