// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh"
)

// edit is one change that a person makes by hand.
type edit struct {
	// kind and name say of what; REV in the name stands for the revision, NS for the namespace.
	kind, name string
	// patch is a JSON patch; empty for a deletion.
	patch string
}

// edits are the changes that a control plane suffers by hand.
var edits = map[string]edit{
	"01 Deployment: an image":                {"Deployment", "istiod-REV", `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"evil:1"}]`},
	"02 Deployment: a variable":              {"Deployment", "istiod-REV", `[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"X","value":"y"}}]`},
	"03 Deployment: a container":             {"Deployment", "istiod-REV", `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"x","image":"x"}}]`},
	"04 Deployment: scaled to 0":             {"Deployment", "istiod-REV", `[{"op":"replace","path":"/spec/replicas","value":0}]`},
	"05 Deployment: deleted":                 {"Deployment", "istiod-REV", ""},
	"06 Service: a port":                     {"Service", "istiod-REV", `[{"op":"replace","path":"/spec/ports/0/port","value":15999}]`},
	"07 Service: a target port":              {"Service", "istiod-REV", `[{"op":"replace","path":"/spec/ports/1/targetPort","value":1}]`},
	"08 Service: a selector":                 {"Service", "istiod-REV", `[{"op":"replace","path":"/spec/selector/app","value":"x"}]`},
	"09 Service: a selector key":             {"Service", "istiod-REV", `[{"op":"add","path":"/spec/selector/x","value":"y"}]`},
	"10 Service: deleted":                    {"Service", "istiod-REV", ""},
	"11 ConfigMap: a key changed":            {"ConfigMap", "istio-REV", `[{"op":"replace","path":"/data/mesh","value":"x"}]`},
	"12 ConfigMap: a key added":              {"ConfigMap", "istio-REV", `[{"op":"add","path":"/data/x","value":"y"}]`},
	"13 ConfigMap: deleted":                  {"ConfigMap", "istio-sidecar-injector-REV", ""},
	"14 webhook: edited":                     {"MutatingWebhookConfiguration", "HOOK", `[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`},
	"15 webhook: deleted":                    {"MutatingWebhookConfiguration", "HOOK", ""},
	"16 definition: a field":                 {"CustomResourceDefinition", "gateways.networking.istio.io", `[{"op":"replace","path":"/spec/names/shortNames","value":["evil"]}]`},
	"17 ServiceAccount: deleted":             {"ServiceAccount", "istiod-REV", ""},
	"18 RoleBinding: deleted":                {"RoleBinding", "istiod-REV", ""},
	"19 ClusterRole: a rule":                 {"ClusterRole", "istiod-clusterrole-REV-NS", `[{"op":"add","path":"/rules/-","value":{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}}]`},
	"20 HorizontalPodAutoscaler: its bounds": {"HorizontalPodAutoscaler", "istiod-REV", `[{"op":"replace","path":"/spec/maxReplicas","value":9}]`},
	"21 ClusterRoleBinding: a subject":       {"ClusterRoleBinding", "istiod-clusterrole-REV-NS", `[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"x","apiGroup":"rbac.authorization.k8s.io"}}]`},
	"22 validator: a rule":                   {"ValidatingWebhookConfiguration", "istio-validator-REV-NS", `[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["CREATE"]}]`},
	"23 Role: a rule":                        {"Role", "istiod-REV", `[{"op":"add","path":"/rules/-","value":{"apiGroups":[""],"resources":["secrets"],"verbs":["*"]}}]`},
}

// resource finds how a kind is named in the API's paths.
func resource(t *testing.T, kind string) (gvk schema.GroupVersionKind, plural string) {
	t.Helper()
	for _, k := range mesh.Kinds() {
		if k.GVK.Kind == kind {
			return k.GVK, k.Resource
		}
	}
	t.Fatalf("no kind %s", kind)
	return gvk, ""
}

// subject is the object that an edit is of.
func (o *operator) subject(t *testing.T, m *v1alpha1.Mesh, e edit) *unstructured.Unstructured {
	t.Helper()
	revision := m.Status.Revisions[0].Name
	if e.name == "HOOK" {
		for _, object := range o.objects(t, m.Name) {
			if object.GetKind() == e.kind && strings.HasPrefix(object.GetName(), "istio-sidecar-injector-") {
				return &object
			}
		}
		t.Fatal("there is no webhook")
	}
	out := &unstructured.Unstructured{}
	gvk, _ := resource(t, e.kind)
	out.SetGroupVersionKind(gvk)
	key := client.ObjectKey{Name: strings.NewReplacer("REV", revision, "NS", string(m.Spec.Namespace)).Replace(e.name)}
	for _, k := range []string{"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "ValidatingWebhookConfiguration"} {
		if e.kind == k {
			gvk.Kind = ""
		}
	}
	if gvk.Kind != "" {
		key.Namespace = string(m.Spec.Namespace)
	}
	if err := o.client.Get(t.Context(), key, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// essence is what a person decides of an object: all but what the API server keeps.
func essence(object *unstructured.Unstructured) string {
	out := object.DeepCopy()
	unstructured.RemoveNestedField(out.Object, "status")
	meta := map[string]any{"labels": out.GetLabels(), "annotations": out.GetAnnotations()}
	delete(meta["annotations"].(map[string]string), "deployment.kubernetes.io/revision")
	if len(out.GetFinalizers()) > 0 {
		meta["finalizers"] = out.GetFinalizers()
	}
	out.Object["metadata"] = meta
	raw, err := json.Marshal(out.Object)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// path is that of requests for an object.
func path(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	gvk, plural := resource(t, object.GetKind())
	prefix := "/apis/" + gvk.Group + "/" + gvk.Version
	if gvk.Group == "" {
		prefix = "/api/" + gvk.Version
	}
	if object.GetNamespace() != "" {
		prefix += "/namespaces/" + object.GetNamespace()
	}
	return prefix + "/" + plural + "/" + object.GetName()
}

// edit makes an edit.
func (o *operator) edit(t *testing.T, object *unstructured.Unstructured, patch string) {
	t.Helper()
	var err error
	if patch == "" {
		err = o.client.Delete(t.Context(), object)
	} else {
		err = o.client.Patch(t.Context(), object, client.RawPatch(types.JSONPatchType, []byte(patch)), client.FieldOwner(editor))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// repaired waits until an object is as it was, and gives how long it took.
func (o *operator) repaired(t *testing.T, before *unstructured.Unstructured) time.Duration {
	t.Helper()
	want, began := essence(before), time.Now()
	testutil.Eventually(t, soon, "the repair of "+before.GetKind()+" "+before.GetName(), func() (bool, string) {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(before.GroupVersionKind())
		err := o.client.Get(t.Context(), client.ObjectKeyFromObject(before), now)
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
		if err != nil || now.GetDeletionTimestamp() != nil {
			return false, "it is not there"
		}
		// A deleted Service gets its addresses back, and is as it was.
		got := essence(now)
		return got == want, fmt.Sprintf("it is\n%s, want\n%s", got, want)
	})
	return time.Since(began)
}

// TestEdits undoes what people do to a control plane by hand, each with two requests at most.
func TestEdits(t *testing.T) {
	o := running(t)
	m := o.mesh(t, "edited", "1.31", func(m *v1alpha1.Mesh) {
		m.Spec.Values = &v1alpha1.Values{Raw: []byte(`{"pilot":{"autoscaleEnabled":true}}`)}
	})
	m = o.applied(t, m)
	var took []time.Duration
	for name, e := range edits {
		t.Run(name, func(t *testing.T) {
			before := o.subject(t, m, e)
			o.requests.Forget()
			o.edit(t, before.DeepCopy(), e.patch)
			took = append(took, o.repaired(t, before))
			requests := o.requests.To(path(t, before))
			if len(requests) == 0 || len(requests) > 2 {
				t.Errorf("the repair took %d requests: %+v", len(requests), requests)
			}
			others := o.requests.Select(func(r testutil.Request) bool {
				return r.Write() && r.Path != path(t, before) && !strings.Contains(r.Path, "/meshes/") && !strings.Contains(r.Path, "/events")
			})
			if len(others) > 0 {
				t.Errorf("other objects were written, too: %s %s", others[0].Method, others[0].Path)
			}
		})
	}
	slices.Sort(took)
	t.Logf("%d repairs: median %v, slowest %v", len(took), took[len(took)/2], took[len(took)-1])
	got := o.await(t, m, "repairs in the status", func(m *v1alpha1.Mesh) bool { return len(m.Status.Repairs) == 5 })
	for _, r := range got.Status.Repairs {
		if !r.Repaired || r.Object == "" || r.Manager == "" {
			t.Errorf("a repair is told as %+v", r)
		}
	}
	testutil.Eventually(t, soon, "an event of a repair", func() (bool, string) {
		var list eventsv1.EventList
		if err := o.client.List(t.Context(), &list, client.InNamespace("default")); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Regarding.UID == m.UID && e.Reason == "DriftRepaired"
		}), "there is none"
	})
}

// TestEveryObject deletes every object of a mesh, of what is shared and of what runs on nodes, and adds a label to each
// of them that is ours.
func TestEveryObject(t *testing.T) {
	o := running(t)
	m := o.mesh(t, "whole", "1.31", func(m *v1alpha1.Mesh) { m.Spec.Profile = v1alpha1.ProfileAmbient })
	o.applied(t, m)
	objects := slices.Concat(o.objects(t, m.Name), o.objects(t, "nodes"), o.objects(t, "definitions"))
	var took []time.Duration
	slowest := ""
	repaired := func(object *unstructured.Unstructured, how string) {
		t.Helper()
		took = append(took, o.repaired(t, object))
		if slices.Max(took) == took[len(took)-1] {
			slowest = object.GetKind() + " " + object.GetName() + " " + how
		}
	}
	for i := range objects {
		object := &objects[i]
		o.edit(t, object.DeepCopy(), `[{"op":"replace","path":"/metadata/labels/fleet.fairlead.io~1mesh","value":"other"}]`)
		repaired(object, "edited")
		if object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		o.edit(t, object.DeepCopy(), "")
		repaired(object, "deleted")
	}
	slices.Sort(took)
	t.Logf("%d repairs of %d objects: median %v, 95%% within %v, slowest %v (%s)",
		len(took), len(objects), took[len(took)/2], took[len(took)*95/100], took[len(took)-1], slowest)
}

// TestRest: nothing is written while nothing happens, nor by an operator that starts.
func TestRest(t *testing.T) {
	o := running(t)
	for _, version := range []string{"1.31", "1.30"} {
		member := o.labelled(t, "rests", map[string]string{"mesh-test": "rests-" + version})
		m := o.mesh(t, "rests", version, func(m *v1alpha1.Mesh) {
			m.Spec.Profile = v1alpha1.ProfileAmbient
			m.Spec.Members = &v1alpha1.MeshMembers{NamespaceSelector: v1alpha1.NamespaceSelector{
				MatchLabels: map[string]v1alpha1.LabelValue{"mesh-test": v1alpha1.LabelValue("rests-" + version)},
			}}
		})
		o.applied(t, m)
		o.run(t, m)
		o.awaitReady(t, m, "True/InForce")
		testutil.Eventually(t, soon, "the member is labelled", func() (bool, string) {
			if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(member), member); err != nil {
				t.Fatal(err)
			}
			return member.Labels["istio.io/dataplane-mode"] == "ambient", fmt.Sprint(member.Labels)
		})
	}
	writes := func(when string, span time.Duration) {
		t.Helper()
		time.Sleep(2 * time.Second)
		o.requests.Forget()
		time.Sleep(span)
		for _, r := range o.requests.Select(testutil.Request.Write) {
			if !strings.Contains(r.Path, "/leases/") {
				t.Errorf("%s: %s %s %s", when, r.Method, r.Path, r.Body)
			}
		}
	}
	writes("at rest", 10*time.Second)
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	o.start(t)
	time.Sleep(10 * time.Second)
	for _, r := range o.requests.Select(func(r testutil.Request) bool { return r.Write() && !strings.Contains(r.Path, "/leases/") }) {
		t.Errorf("after a restart: %s %s %s", r.Method, r.Path, r.Body)
	}
}
