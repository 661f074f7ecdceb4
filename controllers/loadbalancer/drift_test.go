// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer_test

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

func autoscaled(spec *v1alpha1.LoadBalancerSpec) { spec.Scaling = v1alpha1.Scaling{MaxReplicas: 5} }

// kinds are new objects of every kind that a load balancer has.
func kinds() []client.Object {
	return []client.Object{
		&corev1.ServiceAccount{}, &corev1.ConfigMap{}, &rbacv1.RoleBinding{}, &networkingv1.NetworkPolicy{},
		&policyv1.PodDisruptionBudget{}, &autoscalingv2.HorizontalPodAutoscaler{}, &corev1.Service{}, &appsv1.Deployment{},
	}
}

func TestCreatesAllObjects(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "create", autoscaled)
	o.applied(t, lb)
	for _, object := range kinds() {
		found, ok := get(t, o, lb.Namespace, "front-lb", object)
		if !ok {
			t.Errorf("there is no %T", object)
			continue
		}
		if found.GetLabels()[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || len(found.GetOwnerReferences()) != 1 || found.GetOwnerReferences()[0].UID != lb.UID {
			t.Errorf("%T has labels %v and owners %v", object, found.GetLabels(), found.GetOwnerReferences())
		}
	}
	if d := o.deployment(t, lb); d.Spec.Template.Spec.Containers[0].Image != haproxyImage || d.Spec.Template.Spec.Containers[1].Image != agentImage {
		t.Errorf("the images are %s and %s", d.Spec.Template.Spec.Containers[0].Image, d.Spec.Template.Spec.Containers[1].Image)
	}
}

// drift is one foreign change and how its repair is told.
type drift struct {
	kind client.Object
	// patch is a JSON patch; empty for a deletion.
	patch string
	field string
	// manager is who is named; the editor where it is empty.
	manager string
}

var drifts = map[string]drift{
	"Deployment: an image": {&appsv1.Deployment{},
		`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"evil:1"}]`, "spec.template.spec.containers[name=haproxy].image", ""},
	"Deployment: a container": {&appsv1.Deployment{},
		`[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"x","image":"x"}}]`, "spec.template.spec.containers[name=x]", ""},
	"Deployment: an environment variable": {&appsv1.Deployment{},
		`[{"op":"add","path":"/spec/template/spec/containers/1/env/-","value":{"name":"X","value":"y"}}]`, "spec.template.spec.containers[name=agent].env[name=X]", ""},
	"Deployment: a probe removed": {&appsv1.Deployment{},
		`[{"op":"remove","path":"/spec/template/spec/containers/1/readinessProbe"}]`, "spec.template.spec.containers[name=agent].readinessProbe", "unknown"},
	"Deployment: deleted": {kind: &appsv1.Deployment{}, manager: "unknown"},
	"Service: a target port": {&corev1.Service{},
		`[{"op":"replace","path":"/spec/ports/0/targetPort","value":1}]`, "spec.ports[name=http].targetPort", ""},
	"Service: another port": {&corev1.Service{},
		`[{"op":"add","path":"/spec/ports/-","value":{"name":"x","port":81}}]`, "spec.ports[name=x]", ""},
	"Service: a selector key": {&corev1.Service{}, `[{"op":"add","path":"/spec/selector/x","value":"y"}]`, "spec.selector[x]", ""},
	"Service: a selector": {&corev1.Service{},
		`[{"op":"replace","path":"/spec/selector/app.kubernetes.io~1instance","value":"x"}]`, "spec.selector[app.kubernetes.io/instance]", ""},
	"Service: deleted":        {kind: &corev1.Service{}, manager: "unknown"},
	"ConfigMap: the model":    {&corev1.ConfigMap{}, `[{"op":"replace","path":"/data/model.json","value":"{}"}]`, "data[model.json]", ""},
	"ConfigMap: a key":        {&corev1.ConfigMap{}, `[{"op":"add","path":"/data/x","value":"y"}]`, "data[x]", ""},
	"ConfigMap: binary data":  {&corev1.ConfigMap{}, `[{"op":"add","path":"/binaryData","value":{"x":"eQ=="}}]`, "binaryData[x]", ""},
	"ConfigMap: deleted":      {kind: &corev1.ConfigMap{}, manager: "unknown"},
	"ConfigMap: our label":    {&corev1.ConfigMap{}, `[{"op":"remove","path":"/metadata/labels/app.kubernetes.io~1managed-by"}]`, "metadata.labels[app.kubernetes.io/managed-by]", "unknown"},
	"ServiceAccount: a token": {&corev1.ServiceAccount{}, `[{"op":"replace","path":"/automountServiceAccountToken","value":true}]`, "automountServiceAccountToken", ""},
	"ServiceAccount: deleted": {kind: &corev1.ServiceAccount{}, manager: "unknown"},
	"RoleBinding: a subject": {&rbacv1.RoleBinding{},
		`[{"op":"add","path":"/subjects/-","value":{"kind":"User","name":"x","apiGroup":"rbac.authorization.k8s.io"}}]`, "subjects[name=x]", ""},
	"RoleBinding: deleted": {kind: &rbacv1.RoleBinding{}, manager: "unknown"},
	"PodDisruptionBudget: a number": {&policyv1.PodDisruptionBudget{},
		`[{"op":"replace","path":"/spec/maxUnavailable","value":2}]`, "spec.maxUnavailable", ""},
	"PodDisruptionBudget: deleted": {kind: &policyv1.PodDisruptionBudget{}, manager: "unknown"},
	"HorizontalPodAutoscaler: a number": {&autoscalingv2.HorizontalPodAutoscaler{},
		`[{"op":"replace","path":"/spec/maxReplicas","value":9}]`, "spec.maxReplicas", ""},
	"HorizontalPodAutoscaler: deleted": {kind: &autoscalingv2.HorizontalPodAutoscaler{}, manager: "unknown"},
	"NetworkPolicy: a peer": {&networkingv1.NetworkPolicy{},
		`[{"op":"remove","path":"/spec/ingress/1/from"}]`, "spec.ingress[1].from", "unknown"},
	"NetworkPolicy: a rule":  {&networkingv1.NetworkPolicy{}, `[{"op":"add","path":"/spec/ingress/-","value":{}}]`, "spec.ingress[3]", ""},
	"NetworkPolicy: deleted": {kind: &networkingv1.NetworkPolicy{}, manager: "unknown"},
}

// TestDrift breaks every kind of object in many ways, and waits for the repair and for who is told to have done it.
func TestDrift(t *testing.T) {
	t.Parallel()
	o := running(t)
	for name, test := range drifts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lb := o.balancer(t, "drift", autoscaled)
			o.applied(t, lb)
			o.breakAndWait(t, lb, test)
		})
	}
}

func (o *operator) breakAndWait(t *testing.T, lb *v1alpha1.LoadBalancer, how drift) {
	t.Helper()
	object := how.kind.DeepCopyObject().(client.Object)
	if _, ok := get(t, o, lb.Namespace, "front-lb", object); !ok {
		t.Fatalf("there is no %T", object)
	}
	var err error
	if how.patch == "" {
		err = o.client.Delete(t.Context(), object)
	} else {
		err = o.client.Patch(t.Context(), object, client.RawPatch(types.JSONPatchType, []byte(how.patch)), client.FieldOwner(editor))
	}
	if err != nil {
		t.Fatal(err)
	}
	manager := how.manager
	if manager == "" {
		manager = editor
	}
	got := o.await(t, lb, "the repair in the status", func(lb *v1alpha1.LoadBalancer) bool { return len(lb.Status.Repairs) > 0 })
	r := got.Status.Repairs[0]
	if !strings.HasSuffix(r.Object, " "+lb.Namespace+"/front-lb") || !strings.HasPrefix(r.Field, how.field) || r.Manager != manager || !r.Repaired {
		t.Errorf("the repair is told as %+v, want %s by %s", r, how.field, manager)
	}
	testutil.Eventually(t, soon, "an event of the repair", func() (bool, string) {
		notes := o.notes(t, lb, "DriftRepaired")
		return len(notes) > 0, "there is none"
	})
	o.applied(t, lb)
}

// notes are the texts of the events of a load balancer for a reason.
func (o *operator) notes(t *testing.T, lb *v1alpha1.LoadBalancer, reason string) []string {
	t.Helper()
	var list eventsv1.EventList
	if err := o.client.List(t.Context(), &list, client.InNamespace(lb.Namespace)); err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range list.Items {
		if e := &list.Items[i]; e.Regarding.UID == lb.UID && e.Reason == reason {
			out = append(out, e.Note)
		}
	}
	return out
}

// TestRoleReference: the role of a RoleBinding cannot be changed, so somebody deletes it and makes another one.
func TestRoleReference(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "roleref")
	o.applied(t, lb)
	binding, _ := get(t, o, lb.Namespace, "front-lb", &rbacv1.RoleBinding{})
	fresh := binding.DeepCopy()
	fresh.ResourceVersion, fresh.UID, fresh.ManagedFields = "", "", nil
	fresh.RoleRef.Name = "view"
	if err := o.client.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	// The operator may be faster.
	if err := o.client.Create(t.Context(), fresh); err != nil {
		t.Logf("made anew before: %v", err)
	}
	testutil.Eventually(t, soon, "the role is the agents' again", func() (bool, string) {
		found, ok := get(t, o, lb.Namespace, "front-lb", &rbacv1.RoleBinding{})
		return ok && found.RoleRef.Name == "fairlead-agent", fmt.Sprintf("it is %v", found.RoleRef)
	})
}

// TestReplicasAreTheAutoscalers: with an autoscaler the number of replicas is its own, also while somebody deletes
// it; but 0 would switch it off.
func TestReplicasAreTheAutoscalers(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "scaled", autoscaled)
	o.applied(t, lb)
	scale := func(to int32) {
		change(t, o, o.deployment(t, lb), func(d *appsv1.Deployment) { d.Spec.Replicas = &to })
	}
	scale(4)
	hpa, _ := get(t, o, lb.Namespace, "front-lb", &autoscalingv2.HorizontalPodAutoscaler{})
	if err := o.client.Delete(t.Context(), hpa); err != nil {
		t.Fatal(err)
	}
	o.await(t, lb, "the autoscaler made anew", func(lb *v1alpha1.LoadBalancer) bool { return len(lb.Status.Repairs) == 1 })
	if got := *o.deployment(t, lb).Spec.Replicas; got != 4 {
		t.Errorf("4 replicas became %d", got)
	}
	scale(0)
	o.await(t, lb, "the zero undone", func(lb *v1alpha1.LoadBalancer) bool {
		return len(lb.Status.Repairs) == 2 && lb.Status.Repairs[0].Field == "spec.replicas"
	})

	// A fixed number is ours.
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.Scaling = v1alpha1.Scaling{Replicas: 3} })
	testutil.Eventually(t, soon, "the autoscaler is gone and there are 3 replicas", func() (bool, string) {
		_, there := get(t, o, lb.Namespace, "front-lb", &autoscalingv2.HorizontalPodAutoscaler{})
		got := *o.deployment(t, lb).Spec.Replicas
		return !there && got == 3, fmt.Sprintf("there %v, %d replicas", there, got)
	})
	scale(1)
	testutil.Eventually(t, soon, "there are 3 replicas again", func() (bool, string) {
		got := *o.deployment(t, lb).Spec.Replicas
		return got == 3, fmt.Sprintf("there are %d", got)
	})
}

// TestAnnotationsOfTheService come and go with the spec, and those of others stay.
func TestAnnotationsOfTheService(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "annotated", func(spec *v1alpha1.LoadBalancerSpec) {
		spec.Service.Annotations = map[string]v1alpha1.AnnotationValue{"example.com/a": "1", "example.com/b": "2"}
	})
	o.applied(t, lb)
	found, _ := get(t, o, lb.Namespace, "front-lb", &corev1.Service{})
	change(t, o, found, func(s *corev1.Service) { s.Annotations["example.com/theirs"] = "3" })
	change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { delete(lb.Spec.Service.Annotations, "example.com/a") })
	testutil.Eventually(t, soon, "the annotation goes", func() (bool, string) {
		found, _ := get(t, o, lb.Namespace, "front-lb", &corev1.Service{})
		_, stays := found.Annotations["example.com/a"]
		return !stays && found.Annotations["example.com/b"] == "2" && found.Annotations["example.com/theirs"] == "3", fmt.Sprint(found.Annotations)
	})
}

// TestServiceType: what belongs to one type of Service goes with it, and a change of the type is no drift.
func TestServiceType(t *testing.T) {
	t.Parallel()
	o := running(t)
	lb := o.balancer(t, "type", func(spec *v1alpha1.LoadBalancerSpec) {
		spec.Service = v1alpha1.ServiceTemplate{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: "example.com/x"}
	})
	o.awaitReady(t, lb, "False/NoAddress")
	for _, template := range []v1alpha1.ServiceTemplate{
		{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: "example.com/x", ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster},
		{Type: corev1.ServiceTypeClusterIP},
		{Type: corev1.ServiceTypeNodePort},
		{Type: corev1.ServiceTypeLoadBalancer},
	} {
		change(t, o, lb, func(lb *v1alpha1.LoadBalancer) { lb.Spec.Service = template })
		got := o.await(t, lb, "its Service is a "+string(template.Type), func(lb *v1alpha1.LoadBalancer) bool {
			front, _ := get(t, o, lb.Namespace, "front-lb", &corev1.Service{})
			waits := condition(lb, v1alpha1.ConditionReady) == "False/Unavailable" || condition(lb, v1alpha1.ConditionReady) == "False/NoAddress"
			return waits && front.Spec.Type == template.Type && (template.ExternalTrafficPolicy == "" || front.Spec.ExternalTrafficPolicy == template.ExternalTrafficPolicy)
		})
		if len(got.Status.Repairs) > 0 {
			t.Fatalf("the repairs are %+v", got.Status.Repairs)
		}
	}
}
