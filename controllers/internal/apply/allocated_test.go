// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// balancer is a Service for which the API server allocates everything that it can allocate.
func balancer(namespace, name string) *corev1.Service {
	s := service(namespace, name).(*corev1.Service)
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	return s
}

// allocated is what the API server chose for a Service.
func allocated(u *unstructured.Unstructured) string {
	spec := u.Object["spec"].(fields)
	port := spec["ports"].([]any)[0].(fields)["nodePort"]
	return fmt.Sprint(spec["clusterIP"], spec["clusterIPs"], spec["ipFamilies"], spec["ipFamilyPolicy"], spec["healthCheckNodePort"], port)
}

// TestFirstWins allocates addresses and ports once, and keeps them whatever happens.
func TestFirstWins(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "first")
	o := startOperator(t, operatorOptions{kinds: []Kind{services}, name: t.Name()})
	start := func(t *testing.T, name string) (s *corev1.Service, ref Ref, key, before string) {
		t.Helper()
		s, key = balancer(namespace, name), "first/"+namespace+"/"+name
		o.applied(key, s)
		ref = o.ref(s)
		return s, ref, key, allocated(o.get(ref))
	}
	same := func(t *testing.T, ref Ref, before string) {
		t.Helper()
		if now := allocated(o.get(ref)); now != before {
			t.Errorf("allocated were %s, now %s", before, now)
		}
	}
	t.Run("another render", func(t *testing.T) {
		t.Parallel()
		s, ref, key, before := start(t, "render")
		s.Spec.Ports[0].TargetPort = intstr.FromInt32(9090)
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81})
		o.applied(key, s)
		same(t, ref, before)
	})
	t.Run("node port changed", func(t *testing.T) {
		t.Parallel()
		_, ref, key, before := start(t, "port")
		from := o.now(key)
		o.edit(ref, func(object fields) {
			// No number at all has the API server choose another one.
			delete(object["spec"].(fields)["ports"].([]any)[0].(fields), "nodePort")
			object["spec"].(fields)["ports"].([]any)[0].(fields)["name"] = "other"
		})
		o.drift(key, from)
		same(t, ref, before)
	})
	t.Run("families changed", func(t *testing.T) {
		t.Parallel()
		_, ref, key, before := start(t, "families")
		from := o.now(key)
		o.patch(ref, `[{"op":"replace","path":"/spec/ipFamilyPolicy","value":"RequireDualStack"}]`)
		drift := o.drift(key, from)
		if len(drift.Changes) != 3 {
			t.Errorf("drift tells of %+v, want the policy, the family and the address", drift.Changes)
		}
		same(t, ref, before)
	})
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		_, ref, key, before := start(t, "deleted")
		from := o.now(key)
		o.remove(ref)
		o.drift(key, from)
		same(t, ref, before)
	})
	t.Run("taken meanwhile", func(t *testing.T) {
		t.Parallel()
		_, ref, key, before := start(t, "taken")
		port := o.get(ref).Object["spec"].(fields)["ports"].([]any)[0].(fields)["nodePort"]
		thief := ref
		thief.Name = "thief"
		from := o.now(key)
		o.hold(key, func() {
			o.remove(ref)
			testutil.Eventually(t, soon, "the port is free", func() (bool, string) {
				u := &unstructured.Unstructured{Object: fields{"spec": fields{
					"type": "NodePort", "ports": []any{fields{"port": int64(80), "nodePort": port}},
				}}}
				return o.tryAdd(thief, u)
			})
		})
		drift := o.drift(key, from)
		o.settled(key, from)
		if now := allocated(o.get(ref)); now == before || drift.Changes[0].Manager != Unknown {
			t.Errorf("allocated are %s, before %s; drift is %+v", now, before, drift)
		}
	})
}

// TestScaled leaves the replicas to an autoscaler while one targets the object and is not switched off by 0.
func TestScaled(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "scaled")
	key := "scaled/" + namespace + "/app"
	o := startOperator(t, operatorOptions{kinds: []Kind{deployments, hpas}, name: t.Name()})
	d := deployment(namespace, "app").(*appsv1.Deployment)
	d.Spec.Replicas = ptr.To[int32](2)
	o.applied(key, d)
	ref := o.ref(d)
	autoscaler := o.ref(hpa(namespace, "app"))
	foreign, err := o.engine.render("", hpa(namespace, "app"))
	if err != nil {
		t.Fatal(err)
	}
	delete(foreign.tree, "metadata")
	o.add(autoscaler, foreign.tree)
	testutil.Eventually(t, soon, "the autoscaler is seen", func() (bool, string) {
		return len(o.engine.Live(autoscaler.GroupVersionKind, namespace)) == 1, ""
	})
	scale := func(to int) {
		t.Helper()
		o.patchBy("scaler", ref, fmt.Sprintf(`[{"op":"replace","path":"/spec/replicas","value":%d}]`, to), "scale")
	}
	replicas := func() any { return o.get(ref).Object["spec"].(fields)["replicas"] }
	image := matrix[4].value

	scale(4)
	from := o.now(key)
	o.patch(ref, image.patch)
	if drift := o.drift(key, from); len(drift.Changes) != 1 || drift.Changes[0].Path != image.path || replicas() != int64(4) {
		t.Errorf("drift is %+v and replicas %v; they are the autoscaler's", drift, replicas())
	}

	from = o.now(key)
	scale(0)
	drift := o.drift(key, from)
	if drift.Changes[0].Path != "spec.replicas" || replicas() == int64(0) {
		t.Errorf("drift is %+v and replicas %v; 0 switches the autoscaler off", drift, replicas())
	}

	o.remove(autoscaler)
	testutil.Eventually(t, soon, "the autoscaler is gone", func() (bool, string) {
		return len(o.engine.Live(autoscaler.GroupVersionKind, namespace)) == 0, ""
	})
	before, from := replicas(), o.now(key)
	scale(5)
	drift = o.drift(key, from)
	if drift.Changes[0].Path != "spec.replicas" || drift.Changes[0].Manager != "scaler" || replicas() != before {
		t.Errorf("drift is %+v and replicas %v; nobody scales", drift, replicas())
	}
}

// TestScaledByTheSetItself: the replicas are the autoscaler's also at the moment when somebody deleted it, and ours
// again from when the set has none any more.
func TestScaledByTheSetItself(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "selfscaled")
	key := "selfscaled/" + namespace + "/app"
	o := startOperator(t, operatorOptions{kinds: []Kind{deployments, hpas}, name: t.Name()})
	d := deployment(namespace, "app").(*appsv1.Deployment)
	d.Spec.Replicas = ptr.To[int32](2)
	scaler := hpa(namespace, "app")
	o.applied(key, scaler, d)
	ref := o.ref(d)
	replicas := func() any { return o.get(ref).Object["spec"].(fields)["replicas"] }
	o.patchBy("scaler", ref, `[{"op":"replace","path":"/spec/replicas","value":4}]`, "scale")
	from := o.now(key)
	o.remove(o.ref(scaler))
	if drift := o.drift(key, from); drift.Ref.Kind != "HorizontalPodAutoscaler" || replicas() != int64(4) {
		t.Errorf("drift is %+v and replicas %v; want the autoscaler's deletion and 4", drift, replicas())
	}
	d.Spec.Replicas = ptr.To[int32](3)
	o.applied(key, d)
	if replicas() != int64(3) {
		t.Errorf("without an autoscaler there are %v replicas, want 3", replicas())
	}
}

// TestFormerAnnotations: what was rendered once and is not any more goes, unless somebody else set it since.
func TestFormerAnnotations(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "former")
	key := "former/" + namespace + "/app"
	o := startOperator(t, operatorOptions{kinds: []Kind{services}, name: t.Name()})
	s := service(namespace, "app")
	labels := s.GetLabels()
	s.SetAnnotations(map[string]string{"example.com/a": "1", "example.com/b": "2"})
	o.applied(key, s)
	ref := o.ref(s)
	o.patch(ref, `[{"op":"add","path":"/metadata/annotations/example.com~1theirs","value":"3"}]`)
	fresh := service(namespace, "app")
	fresh.SetLabels(labels)
	fresh.SetAnnotations(map[string]string{"example.com/b": "2"})
	o.applied(key, fresh)
	got := o.get(ref).GetAnnotations()
	if _, stays := got["example.com/a"]; stays || got["example.com/b"] != "2" || got["example.com/theirs"] != "3" {
		t.Errorf("the annotations are %v", got)
	}
}
