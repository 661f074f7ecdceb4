// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package loadbalancer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
)

func refOf(name string) apply.Ref {
	return apply.Ref{GroupVersionKind: roleBindings, NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}}
}

// serving is the evidence of a load balancer that is in force on two replicas.
func serving() *evidence {
	report := v1alpha1.ReplicaReport{Model: "hash"}
	return &evidence{
		outcome: &outcome{generation: 3, hash: "hash", result: apply.Result{Desired: 1, InForce: 1}},
		deployment: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Generation: 4}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 4, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2},
		},
		service: &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"10.0.0.1"}}},
		reports: []v1alpha1.ReplicaReport{report, report},
	}
}

// TestConditions changes one thing at a time of a load balancer that is in force.
func TestConditions(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1alpha1.LoadBalancer, *evidence)
		// want are the conditions as type=status/reason; message is that of Ready.
		want, message string
	}{
		"in force": {func(*v1alpha1.LoadBalancer, *evidence) {}, "Ready=True/InForce", "in force on 2 replicas"},
		"not looked at yet": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.outcome = nil },
			"Ready=False/Progressing Reconciling=True/Progressing", "the spec was not looked at yet",
		},
		"an earlier spec": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.outcome.generation = 2 },
			"Ready=False/Progressing Reconciling=True/Progressing", "the spec was not looked at yet",
		},
		"no image": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.outcome.stuck = stuck{v1alpha1.ReasonNoImage, "no image"}
			},
			"Ready=False/NoImage Stalled=True/NoImage", "no image; what was in force stays in force",
		},
		"refused": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.outcome.result = apply.Result{Desired: 1, Refused: []apply.Refusal{{Ref: refOf("a"), Message: "no"}}}
			},
			"Ready=False/RefusedByAPIServer Stalled=True/RefusedByAPIServer", "RoleBinding shop/a: no; what was in force stays in force",
		},
		"a name is taken": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.outcome.result = apply.Result{Desired: 1, Conflicts: []apply.Conflict{{Ref: refOf("a")}}}
			},
			"Conflicted=True/NameTaken Ready=False/NameTaken Stalled=True/NameTaken",
			`RoleBinding shop/a was not made by Fairlead; delete it, or set its annotation fleet.fairlead.io/adopt to "true"`,
		},
		"being retried": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.outcome.failure = "Timeout" },
			"Ready=False/ApplyFailed Reconciling=True/ApplyFailed", "being retried: Timeout",
		},
		"contested": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.outcome.result = apply.Result{Desired: 1, Contested: []apply.Contest{{Ref: refOf("a"), Field: "spec.x", Manager: "m"}}}
			},
			"Contested=True/RepeatedEdits Ready=False/RepeatedEdits Reconciling=True/Progressing", "RoleBinding shop/a: spec.x by m",
		},
		"left as found": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.outcome.result = apply.Result{Desired: 1, Drifted: []apply.Ref{refOf("a")}}
			},
			"Drifted=True/ForeignEdits Ready=False/ForeignEdits", "left as found: RoleBinding shop/a",
		},
		"paused": {
			func(lb *v1alpha1.LoadBalancer, e *evidence) {
				lb.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
				e.outcome.result = apply.Result{Desired: 1, Paused: true}
			},
			"Ready=Unknown/Paused", "nothing is written or verified: the annotation fleet.fairlead.io/paused is set",
		},
		"an object is being deleted": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.outcome.result.Terminating = []apply.Ref{refOf("a")} },
			"Ready=False/Progressing Reconciling=True/Progressing", "waiting for what somebody is deleting: RoleBinding shop/a",
		},
		"a namespace that goes": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.outcome.result.Going = []apply.Ref{refOf("a")} },
			"Ready=False/Progressing Reconciling=True/Progressing", "the API server says that the namespace goes, and takes nothing new: RoleBinding shop/a",
		},
		"no Deployment": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.deployment = nil },
			"Ready=False/Progressing Reconciling=True/Progressing", "objects are being made",
		},
		"no address": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.service.Spec.Type = corev1.ServiceTypeLoadBalancer },
			"Ready=False/NoAddress Reconciling=True/NoAddress", "Service  has no address: nothing in the cluster has given it one",
		},
		"a replica is missing": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.deployment.Status.ReadyReplicas = 1 },
			"Ready=False/Unavailable Reconciling=True/Unavailable", "1 of 2 replicas are ready",
		},
		"a rollout is under way": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.deployment.Status.Replicas = 3 },
			"Ready=False/Unavailable Reconciling=True/Unavailable", "2 of 2 replicas are ready",
		},
		"the Deployment's status is old": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.deployment.Generation = 5 },
			"Ready=False/Unavailable Reconciling=True/Unavailable", "2 of 2 replicas are ready",
		},
		"a replica has another model": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.reports[0].Model = "old" },
			"Ready=False/OutdatedReplicas Reconciling=True/OutdatedReplicas", "1 of 2 replicas serve the newest spec",
		},
		"a replica more has another model": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.reports = append(e.reports, v1alpha1.ReplicaReport{}) },
			"Ready=False/OutdatedReplicas Reconciling=True/OutdatedReplicas", "2 of 3 replicas serve the newest spec",
		},
		"nobody reports": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.reports = nil },
			"Ready=False/OutdatedReplicas Reconciling=True/OutdatedReplicas", "0 of 2 replicas serve the newest spec",
		},
		"a replica refuses": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) { e.reports[0].Refused = "no" },
			"Ready=False/RefusedByReplica Stalled=True/RefusedByReplica", "1 of 2 replicas do not put the spec in force: no",
		},
		"problems": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.outcome.problems = []v1alpha1.Problem{{Field: "b", Message: "y"}, {Field: "a", Message: "x"}}
			},
			"Ready=False/PartlyInForce Stalled=True/PartlyInForce", "a: x (and 1 more)",
		},
		"none is asked for": {
			func(_ *v1alpha1.LoadBalancer, e *evidence) {
				e.deployment.Spec.Replicas, e.deployment.Status, e.reports = new(int32(0)), appsv1.DeploymentStatus{ObservedGeneration: 4}, nil
			},
			"Ready=False/Unavailable Reconciling=True/Unavailable", "0 of 0 replicas are ready",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lb, e := &v1alpha1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Generation: 3}}, serving()
			test.edit(lb, e)
			got := status(lb, e)
			var all []string
			for _, c := range got.Conditions {
				all = append(all, fmt.Sprintf("%s=%s/%s", c.Type, c.Status, c.Reason))
			}
			slices.Sort(all)
			if strings.Join(all, " ") != test.want || ready(got.Conditions).Message != test.message {
				t.Errorf("%v %q, want %s %q", all, ready(got.Conditions).Message, test.want, test.message)
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	e := serving()
	for i := range 30 {
		e.outcome.problems = append(e.outcome.problems, v1alpha1.Problem{Field: fmt.Sprintf("f%02d", i), Message: strings.Repeat("x", 5000)})
	}
	e.reports[0].Problems = &v1alpha1.Problems{Count: 12, Top: []v1alpha1.Problem{{Field: "a"}}}
	e.reports[1].Problems = &v1alpha1.Problems{Count: 99, Top: []v1alpha1.Problem{{Field: "b"}}}
	e.reports[1].Model = "of before"
	got := e.problems()
	if got.Count != 42 || len(got.Top) != maxProblems || got.Top[0].Field != "a" || got.Top[1].Field != "f00" || len(got.Top[1].Message) > 512 {
		t.Errorf("the problems are %d with %+v", got.Count, got.Top)
	}
}

func TestRepairsAreTheNewest(t *testing.T) {
	at := func(second int) v1alpha1.RepairRecord {
		return v1alpha1.RepairRecord{Field: fmt.Sprint(second), Time: metav1.NewTime(time.Unix(int64(second), 0))}
	}
	e := &evidence{repairs: []v1alpha1.RepairRecord{at(9), at(5)}, reports: []v1alpha1.ReplicaReport{
		{Repairs: []v1alpha1.RepairRecord{at(8), at(7)}}, {Repairs: []v1alpha1.RepairRecord{at(6)}},
	}}
	var got []string
	for _, r := range e.mergedRepairs([]v1alpha1.RepairRecord{at(9), at(1)}) {
		got = append(got, r.Field)
	}
	if strings.Join(got, "") != "98765" {
		t.Errorf("the repairs are %v", got)
	}
}

func TestRequestOf(t *testing.T) {
	for set, want := range map[string]string{"lb/shop/front": "shop/front", "limits/shop": "", "": "", "lb/shop": "", "lb//": "/"} {
		request, ok := requestOf(set)
		if ok != (want != "") || ok && request.String() != want {
			t.Errorf("requestOf(%q) is %s, %v", set, request, ok)
		}
	}
	if key := setKey(types.NamespacedName{Namespace: "a", Name: "b"}); key != "lb/a/b" {
		t.Errorf("the key is %s", key)
	}
}

func TestAddresses(t *testing.T) {
	e := &evidence{}
	if got := e.addresses(); got != nil {
		t.Errorf("without a Service there are %v", got)
	}
	e.service = &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ClusterIPs: []string{"10.0.0.1"}}}
	for i := range 20 {
		e.service.Status.LoadBalancer.Ingress = append(e.service.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: fmt.Sprint(i)})
	}
	if got := e.addresses(); len(got) != maxAddresses || got[0] != "0" {
		t.Errorf("the addresses are %v", got)
	}
}
