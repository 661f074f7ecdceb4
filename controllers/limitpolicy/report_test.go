// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// memoryPod is a pod whose containers have these memory limits; an empty one has none.
func memoryPod(name string, limits ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i, limit := range limits {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i)}
		if limit != "" {
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}

func subjectsOf(pods ...*corev1.Pod) []subject {
	var out []subject
	for _, pod := range pods {
		s, _ := subjectOf(pod)
		out = append(out, s)
	}
	return out
}

// picking is a policy that picks a namespace.
func picking(t *testing.T, name string, spec v1alpha1.LimitPolicySpec) selected {
	t.Helper()
	policy := policyOf(name, spec)
	return selected{page: mustRead(t, policy), name: name, uid: policy.UID}
}

func TestFindingsByPolicy(t *testing.T) {
	bounds := func(item v1alpha1.LimitItem) []v1alpha1.LimitItem {
		item.Type = "Container"
		return []v1alpha1.LimitItem{item}
	}
	seen := &observed{name: "shop", policies: []selected{
		picking(t, "cap", v1alpha1.LimitPolicySpec{Limits: bounds(v1alpha1.LimitItem{Max: v1alpha1.Amounts{"memory": "1Gi"}})}),
		picking(t, "dry", v1alpha1.LimitPolicySpec{Priority: 9, Enforcement: v1alpha1.DryRun,
			Limits: bounds(v1alpha1.LimitItem{Max: v1alpha1.Amounts{"memory": "256Mi"}})}),
		picking(t, "fill", v1alpha1.LimitPolicySpec{Limits: bounds(v1alpha1.LimitItem{DefaultRequest: v1alpha1.Amounts{"cpu": "100m"}})}),
		picking(t, "quota", v1alpha1.LimitPolicySpec{Quota: &v1alpha1.Quota{Hard: v1alpha1.Amounts{"pods": "1"}}}),
		picking(t, "same", v1alpha1.LimitPolicySpec{Limits: bounds(v1alpha1.LimitItem{Max: v1alpha1.Amounts{"memory": "1024Mi"}})}),
	}}
	got := findings(seen, subjectsOf(memoryPod("small", "128Mi"), memoryPod("middle", "512Mi"), memoryPod("large", "2Gi", "4Gi"), memoryPod("open", "")))
	for name, want := range map[string]report{
		// large is refused, open gets a limit and a request.
		"cap":  {refused: 1, changed: 1},
		"same": {refused: 1, changed: 1},
		// All but large are given a request for cpu; large is refused by others and is not given any.
		"fill":  {changed: 3},
		"quota": {},
		// The dry run would have its own max, and the other policies' bounds are not its findings.
		"dry": {refused: 2, changed: 1},
	} {
		r := got[policyOf(name, v1alpha1.LimitPolicySpec{}).UID]
		if r.refused != want.refused || r.changed != want.changed {
			t.Errorf("%s would refuse %d and change %d, want %d and %d: %+v", name, r.refused, r.changed, want.refused, want.changed, r)
		}
	}
	if rules := got["uid-cap"].rules; !reflect.DeepEqual(rules, map[string]tally{
		"limits[Container].max[memory]":            {refused: 1},
		"limits[Container].default[memory]":        {changed: 1},
		"limits[Container].defaultRequest[memory]": {changed: 1},
	}) {
		t.Errorf("the rules of cap are %+v", rules)
	}
	top := got["uid-dry"].top
	want := v1alpha1.Finding{
		Kind: "Pod", Namespace: "shop", Name: "large", Rule: "limits[Container].max[memory]", Effect: v1alpha1.EffectRefused,
		Message: "maximum memory usage per Container is 256Mi, but limit is 2Gi",
	}
	if len(top) != 3 || top[0] != want || top[1].Name != "middle" || top[2].Effect != v1alpha1.EffectChanged {
		t.Errorf("the first findings of dry are %+v, want %+v first", top, want)
	}
}

func TestFindingsWithoutSubjects(t *testing.T) {
	seen := &observed{name: "shop", policies: []selected{picking(t, "cap", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})}}
	got := findings(seen, nil)
	if r, ok := got["uid-cap"]; !ok || !r.equal(report{}) {
		t.Errorf("the report on nothing is %+v, %v", r, ok)
	}
}

func TestReportIsBoundedAndCountsAreNot(t *testing.T) {
	seen := func(namespace string) *observed {
		return &observed{name: namespace, policies: []selected{picking(t, "cap", v1alpha1.LimitPolicySpec{Limits: containerMax("1Gi")})}}
	}
	var all report
	names := rand.New(rand.NewPCG(1, 1)).Perm(30)
	for _, i := range names {
		var pods []*corev1.Pod
		for p := range 15 {
			pods = append(pods, memoryPod(fmt.Sprintf("pod-%02d", p), "2Gi"), memoryPod(fmt.Sprintf("open-%02d", p), ""))
		}
		namespace := fmt.Sprintf("ns-%02d", i)
		one := findings(seen(namespace), subjectsOf(pods...))["uid-cap"]
		if len(one.top) != maxFindings || cap(one.top) > 2*maxFindings {
			t.Fatalf("the report of a namespace holds %d findings, room for %d", len(one.top), cap(one.top))
		}
		all.merge(one)
	}
	got := all.status()
	if got.Refused != 450 || got.Changed != 450 || len(got.Top) != maxFindings || len(got.Rules) != 3 {
		t.Errorf("the report is %+v", got)
	}
	for i, finding := range got.Top {
		if want := fmt.Sprintf("pod-%02d", i); finding.Namespace != "ns-00" || finding.Name != want || finding.Effect != v1alpha1.EffectRefused {
			t.Errorf("finding %d is %+v, want %s in ns-00", i, finding, want)
		}
	}
	if r := got.Rules[0]; r.Rule != "limits[Container].max[memory]" || r.Refused != 450 || r.Changed != 0 {
		t.Errorf("the first rule is %+v", r)
	}
}

func TestReportOfManyRules(t *testing.T) {
	r := report{rules: map[string]tally{}}
	for i := range 20 {
		r.rules[fmt.Sprintf("rule-%02d", i)] = tally{refused: i % 3, changed: i % 5}
	}
	got := r.status().Rules
	if len(got) != maxFindings || got[0].Rule != "rule-14" || got[1].Rule != "rule-08" {
		t.Errorf("the first rules are %+v", got)
	}
	for range 20 {
		if again := r.status().Rules; !reflect.DeepEqual(again, got) {
			t.Fatalf("the order changes: %+v, %+v", got, again)
		}
	}
}

func TestSubjects(t *testing.T) {
	cron := metav1.OwnerReference{Kind: "CronJob", Name: "nightly", Controller: new(true)}
	workflow := metav1.OwnerReference{Kind: "Workflow", Name: "build", Controller: new(true)}
	over := func(condition batchv1.JobConditionType, status corev1.ConditionStatus) batchv1.JobStatus {
		return batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: condition, Status: status}}}
	}
	for name, test := range map[string]struct {
		object runtime.Object
		want   bool
	}{
		"a pod that runs":       {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}, true},
		"a pod that waits":      {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodPending}}, true},
		"a pod that is done":    {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, false},
		"a pod that has failed": {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}, false},
		"a job":                 {&batchv1.Job{}, true},
		"a job that is done":    {&batchv1.Job{Status: over(batchv1.JobComplete, corev1.ConditionTrue)}, false},
		"a job that has failed": {&batchv1.Job{Status: over(batchv1.JobFailed, corev1.ConditionTrue)}, false},
		"a job not done yet":    {&batchv1.Job{Status: over(batchv1.JobComplete, corev1.ConditionFalse)}, true},
		"a suspended job":       {&batchv1.Job{Status: over(batchv1.JobSuspended, corev1.ConditionTrue)}, true},
		"a cron job's job":      {&batchv1.Job{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{cron}}}, false},
		"a workflow's job":      {&batchv1.Job{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{workflow}}}, true},
		"a cron job":            {&batchv1.CronJob{}, true},
		"a deployment":          {&appsv1.Deployment{}, true},
		"a stateful set":        {&appsv1.StatefulSet{}, true},
		"a daemon set":          {&appsv1.DaemonSet{}, true},
		"a claim":               {&corev1.PersistentVolumeClaim{}, true},
		"a config map":          {&corev1.ConfigMap{}, false},
	} {
		if _, got := subjectOf(test.object); got != test.want {
			t.Errorf("%s counts: %v, want %v", name, got, test.want)
		}
	}
}

// TestTrimKeepsTheVerdict holds that what the caches leave out makes no difference to a report.
func TestTrimKeepsTheVerdict(t *testing.T) {
	limits := check.Compile(check.Defaulted([]corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
	}, {
		Type: corev1.LimitTypePersistentVolumeClaim, Max: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
	}}))
	spec := memoryPod("", "2Gi", "").Spec
	always := corev1.ContainerRestartPolicyAlways
	spec.InitContainers = []corev1.Container{{Name: "sidecar", RestartPolicy: &always, Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}}
	spec.Volumes = []corev1.Volume{{Name: "tmp"}}
	template := corev1.PodTemplateSpec{Spec: spec}
	meta := metav1.ObjectMeta{Name: "x", Namespace: "y", UID: "1", ResourceVersion: "2", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"}}
	for _, object := range []runtime.Object{
		&corev1.Pod{ObjectMeta: meta, Spec: spec, Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1"}},
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: new(int32(2)), Template: template}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{ServiceName: "x", Template: template}},
		&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: template}},
		&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: template}},
		&batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "* * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}}},
		&corev1.PersistentVolumeClaim{ObjectMeta: meta, Spec: corev1.PersistentVolumeClaimSpec{
			VolumeName: "v", Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}},
		}},
	} {
		full, _ := subjectOf(object)
		want := full.findings(limits)
		before := encodedSize(t, object)
		got, err := trim(object.DeepCopyObject())
		if err != nil {
			t.Fatal(err)
		}
		trimmed, _ := subjectOf(got.(runtime.Object))
		if now := trimmed.findings(limits); len(want) == 0 || !reflect.DeepEqual(now, want) {
			t.Errorf("%T: trimmed gives %+v, in full %+v", object, now, want)
		}
		if after := encodedSize(t, got.(runtime.Object)); after >= before {
			t.Errorf("%T: %d bytes became %d", object, before, after)
		}
	}
}
