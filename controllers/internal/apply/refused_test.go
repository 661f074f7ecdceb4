// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

func terminatingQuota(namespace, name string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: named(namespace, name), Spec: corev1.ResourceQuotaSpec{
		Hard: resources("pods", "10"), Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating},
	}}
}

// TestRecreated changes fields that cannot be written in place: a deletion of the very object and a creation.
func TestRecreated(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "recreated")
	o := startOperator(t, operatorOptions{kinds: []Kind{quotas, roleBindings}, name: t.Name()})
	for name, c := range map[string]struct {
		object client.Object
		patch  string
		path   string
		other  func(client.Object)
	}{
		"role": {
			roleBinding(namespace, "role"), `[{"op":"replace","path":"/roleRef/name","value":"cluster-admin"}]`, "roleRef.name",
			func(object client.Object) { object.(*rbacv1.RoleBinding).RoleRef.Name = "other" },
		},
		"scopes": {
			terminatingQuota(namespace, "scopes"), `[{"op":"replace","path":"/spec/scopes","value":["NotTerminating"]}]`, "spec.scopes[0]",
			func(object client.Object) {
				object.(*corev1.ResourceQuota).Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "recreated/" + namespace + "/" + name
			o.applied(key, c.object)
			ref := o.ref(c.object)
			before, from := o.content(ref), o.now(key)
			foreign := o.replace(key, ref, func(object fields) { applyPatch(t, object, c.patch) })
			drift := o.drift(key, from)
			if drift.Changes[0].Path != c.path || drift.Changes[0].Manager != editor || !drift.Repaired {
				t.Errorf("drift is %+v, want %s by %s", drift, c.path, editor)
			}
			if now := o.content(ref); now != before {
				t.Errorf("it is %s, was %s", now, before)
			}
			done := o.done(ref)
			if len(done) != 3 || done[1].Method != http.MethodDelete || !strings.Contains(done[1].Body, string(foreign.GetUID())) {
				t.Errorf("writes were %+v, want a deletion of %s between two creations", done, foreign.GetUID())
			}
			c.other(c.object)
			from = o.now(key)
			o.applied(key, c.object)
			for _, r := range o.runs(key, from) {
				if len(r.Drifts) > 0 {
					t.Errorf("a new spec is told as a drift: %+v", r.Drifts)
				}
			}
		})
	}
}

// TestRecreateAsksFirst has a new spec that cannot be written in place and is invalid: what is in force stays.
func TestRecreateAsksFirst(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "asks")
	key := "asks/" + namespace + "/q"
	o := startOperator(t, operatorOptions{kinds: []Kind{quotas}, name: t.Name()})
	quota := terminatingQuota(namespace, "q")
	o.applied(key, quota)
	ref, from := o.ref(quota), o.now(key)
	uid := o.get(ref).GetUID()
	quota.Spec.Scopes = []corev1.ResourceQuotaScope{"NoSuchScope"}
	o.declare(key, quota)
	refused := o.await(key, from, "a refusal", func(r run) bool { return len(r.Refused) > 0 })
	if !strings.Contains(refused.Refused[0].Message, "NoSuchScope") || o.get(ref).GetUID() != uid {
		t.Errorf("refused is %+v, UID %s, was %s", refused.Refused, o.get(ref).GetUID(), uid)
	}
}

// TestQuestionFails has the API server fail at the question whether it would take the new object. Nothing was
// deleted then, and nothing is told as deleted.
func TestQuestionFails(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "question")
	key := "question/" + namespace + "/q"
	o := startOperator(t, operatorOptions{kinds: []Kind{quotas}, name: t.Name()})
	quota := terminatingQuota(namespace, "q")
	o.applied(key, quota)
	from := o.now(key)
	o.faults.Inject(1, func(r testutil.Request) bool { return r.DryRun && r.Method == http.MethodPost },
		testutil.Answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0))
	quota.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
	o.applied(key, quota)
	if o.faults.Left() != 0 {
		t.Error("nothing was asked")
	}
	for _, r := range o.runs(key, from) {
		if len(r.Drifts) > 0 {
			t.Errorf("told as a drift: %+v", r.Drifts)
		}
	}
}

// TestRefusedSelector has a Deployment replaced by one with another selector: deleting it would stop its
// pods, so that is said and not done.
func TestRefusedSelector(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "selector")
	key := "selector/" + namespace + "/app"
	o := startOperator(t, operatorOptions{kinds: []Kind{deployments}, name: t.Name()})
	d := deployment(namespace, "app")
	o.applied(key, d)
	ref, from := o.ref(d), o.now(key)
	foreign := o.replace(key, ref, func(object fields) {
		applyPatch(t, object, `[{"op":"add","path":"/spec/selector/matchLabels/x","value":"y"},
			{"op":"add","path":"/spec/template/metadata/labels/x","value":"y"}]`)
	})
	refused := o.await(key, from, "a refusal", func(r run) bool { return len(r.Refused) > 0 })
	if message := refused.Refused[0].Message; !strings.Contains(message, "field is immutable") || refused.Done() {
		t.Errorf("got %+v, want the API server's words", refused)
	}
	if o.get(ref).GetUID() != foreign.GetUID() {
		t.Error("the Deployment was deleted")
	}
}

// TestRefusedSpec declares a spec that the API server will not have. What was in force stays in repair, after
// a restart too, and the next good spec ends it.
func TestRefusedSpec(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "refused")
	o := startOperator(t, operatorOptions{kinds: []Kind{limitRanges}, name: t.Name()})
	key := "refused/" + namespace + "/a"
	good, bad := limitRange(namespace, "a"), limitRange(namespace, "a")
	bad.(*corev1.LimitRange).Spec.Limits[0].Min = resources("memory", "1Gi")
	o.applied(key, good)
	ref := o.ref(good)
	before, edit := o.content(ref), matrix[0].value

	inRepair := func(o *operator) {
		t.Helper()
		from := o.now(key)
		o.patch(ref, edit.patch)
		if drift := o.drift(key, from); drift.Changes[0].Manager != editor || o.content(ref) != before {
			t.Errorf("drift is %+v, the object %s, was %s", drift, o.content(ref), before)
		}
	}
	refusal := func(o *operator) {
		t.Helper()
		from := o.now(key)
		o.declare(key, bad)
		r := o.await(key, from, "a refusal", func(r run) bool { return len(r.Refused) == 1 })
		if message := r.Refused[0].Message; !strings.Contains(message, "min value 1Gi is greater than max value 512Mi") || r.InForce != 0 || r.err != nil {
			t.Errorf("got %+v, want a refusal in the API server's words", r)
		}
	}
	refusal(o)
	inRepair(o)
	from := o.now(key)
	o.remove(ref)
	o.drift(key, from)
	if o.content(ref) != before {
		t.Errorf("after a deletion it is %s, was %s", o.content(ref), before)
	}
	tries := func(o *operator) int {
		return len(o.served.Select(func(r testutil.Request) bool { return r.Write() && r.Code == http.StatusUnprocessableEntity }))
	}
	if tries(o) != 1 {
		t.Errorf("the bad spec was tried %d times, want once", tries(o))
	}
	o.stop()

	again := startOperator(t, operatorOptions{kinds: []Kind{limitRanges}, name: t.Name()})
	refusal(again)
	inRepair(again)
	if tries(again) != 1 {
		t.Errorf("the bad spec was tried %d times after the restart, want once", tries(again))
	}
	good.(*corev1.LimitRange).Spec.Limits[0].Max = resources("memory", "2Gi")
	from = again.now(key)
	again.applied(key, good)
	if last := again.runs(key, from); len(last[len(last)-1].Refused) > 0 {
		t.Errorf("still refused: %+v", last)
	}
}

// TestRefusedRepair has the API server refuse a repair for a while, as a policy of the cluster may do. It is
// said, and the next event tries again.
func TestRefusedRepair(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "refused")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	for method, c := range map[string]struct {
		breaks func(Ref)
		tried  int
	}{
		http.MethodPatch: {func(ref Ref) { o.patch(ref, matrix[2].value.patch) }, 2},
		http.MethodPost:  {o.remove, 1},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			object := configMap(namespace, strings.ToLower(method))
			key := "refused/" + namespace + "/" + method
			o.applied(key, object)
			ref, from := o.ref(object), o.now(key)
			before := o.content(ref)
			policy := testutil.Answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, 0)
			o.faults.Inject(c.tried, toObject(method, o.path(ref)), policy)
			c.breaks(ref)
			r := o.await(key, from, "a refusal", func(r run) bool { return len(r.Refused) == 1 })
			if r.InForce != 0 || len(r.Drifts) > 0 || r.err != nil {
				t.Errorf("got %v", r)
			}
			from = o.now(key)
			o.kick(key)
			if r := o.settled(key, from); len(r.Refused) > 0 || len(r.Drifts) != 1 || o.content(ref) != before {
				t.Errorf("got %v; the object is %s, was %s", r, o.content(ref), before)
			}
		})
	}
}

// TestPreconditions shows what the engine relies on: writes for another object or an old version are conflicts,
// and a write that changes nothing is answered with the version that was there.
func TestPreconditions(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "preconditions")
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	ref := o.ref(configMap(namespace, "a"))
	o.add(ref, fields{"data": fields{"a": "1"}})
	live := &Object{ObjectMeta: metav1.ObjectMeta{UID: "0c5e5b0e-0000-0000-0000-000000000000"}}
	if _, err := o.engine.patch(t.Context(), configMaps, ref, live, fields{"data": fields{"a": "2"}}, 0); !isConflict(err) {
		t.Errorf("a patch for another UID gives %v, want a conflict", err)
	}
	if err := o.engine.remove(t.Context(), configMaps, ref, live); !isConflict(err) {
		t.Errorf("a deletion of another UID gives %v, want a conflict", err)
	}
	found := o.get(ref)
	live.UID, live.ResourceVersion = found.GetUID(), "1"
	if _, err := o.engine.patch(t.Context(), configMaps, ref, live, fields{"data": fields{"a": "2"}}, locked); !isConflict(err) {
		t.Errorf("a locked patch of an old version gives %v, want a conflict", err)
	}
	got, err := o.engine.patch(t.Context(), configMaps, ref, live, fields{"data": fields{"a": "1"}}, 0)
	if err != nil || got.ResourceVersion != found.GetResourceVersion() {
		t.Errorf("a patch that changes nothing gives %+v, %v, want version %s", got, err, found.GetResourceVersion())
	}
}
