// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"fmt"
	"slices"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// awaitReport waits until a policy's report has these counts.
func (o *operator) awaitReport(t *testing.T, policy *v1alpha1.LimitPolicy, refused, changed int32) *v1alpha1.LimitReport {
	t.Helper()
	got := o.await(t, policy, fmt.Sprintf("%d refused, %d changed", refused, changed), func(p *v1alpha1.LimitPolicy) bool {
		r := p.Status.Report
		return r != nil && r.Refused == refused && r.Changed == changed
	})
	return got.Status.Report
}

// TestReportCountsWhatExists has one object of each kind that would be refused and one that would be changed,
// from before the policy, and many pods.
func TestReportCountsWhatExists(t *testing.T) {
	t.Parallel()
	o := running(t)
	a, b := o.namespace(t, "counts"), o.namespace(t, "counts")
	for _, object := range append(workloads(a, "2Gi"), workloads(b, "")...) {
		o.create(t, object)
	}
	for i := range 12 {
		o.create(t, podOf(a, fmt.Sprintf("large-%02d", i), "2Gi"))
		o.create(t, podOf(b, fmt.Sprintf("open-%02d", i), ""))
	}
	o.create(t, podOf(a, "small", "64Mi"))
	o.create(t, podOf(b, "fits", "512Mi"))
	o.create(t, claimOf(a, "large", "20Gi"))
	o.create(t, claimOf(a, "fits", "5Gi"))
	policy := o.policy(t, "counts", func(spec *v1alpha1.LimitPolicySpec) {
		spec.Limits = []v1alpha1.LimitItem{
			{Type: corev1.LimitTypeContainer, Max: v1alpha1.Amounts{"memory": "1Gi"}, Min: v1alpha1.Amounts{"memory": "128Mi"}},
			{Type: corev1.LimitTypePersistentVolumeClaim, Max: v1alpha1.Amounts{"storage": "10Gi"}},
		}
	})

	// Refused: 5 templates, 12 large pods, one that is too small, one claim. Changed: 5 templates, 12 pods.
	report := o.awaitReport(t, policy, 19, 17)
	want := []v1alpha1.RuleCount{
		{Rule: "limits[Container].max[memory]", Refused: 17},
		{Rule: "limits[Container].min[memory]", Refused: 1},
		{Rule: "limits[PersistentVolumeClaim].max[storage]", Refused: 1},
		{Rule: "limits[Container].defaultRequest[memory]", Changed: 17},
		{Rule: "limits[Container].default[memory]", Changed: 17},
	}
	if !slices.Equal(report.Rules, want) {
		t.Errorf("by rule it is %+v, want %+v", report.Rules, want)
	}
	var first []string
	for _, f := range report.Top {
		if f.Effect != v1alpha1.EffectRefused || f.Namespace != a {
			t.Errorf("among the first findings is %+v", f)
		}
		first = append(first, f.Kind+" "+f.Name)
	}
	if !slices.Equal(first, []string{
		"CronJob work", "DaemonSet work", "Deployment work", "Job work", "PersistentVolumeClaim large",
		"Pod large-00", "Pod large-01", "Pod large-02", "Pod large-03", "Pod large-04",
	}) {
		t.Errorf("the first findings are %q", first)
	}

	// What goes and what is finished counts no more; what comes does.
	remove(t, o, podOf(a, "large-00", ""))
	o.awaitReport(t, policy, 18, 17)
	finish(t, o, podOf(a, "large-01", ""))
	o.awaitReport(t, policy, 17, 17)
	remove(t, o, workloads(b, "")[0])
	o.awaitReport(t, policy, 17, 16)
	o.create(t, workloads(b, "2Gi")[0])
	o.awaitReport(t, policy, 18, 16)
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.Limits[0].Max["memory"] = "4Gi" })
	o.awaitReport(t, policy, 2, 16)
	change(t, o, policy, func(p *v1alpha1.LimitPolicy) { p.Spec.NamespaceSelector.MatchLabels[tier] = "counts-elsewhere" })
	o.awaitReport(t, policy, 0, 0)
}

func remove(t *testing.T, o *operator, object client.Object) {
	t.Helper()
	if err := o.client.Delete(t.Context(), object, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

func finish(t *testing.T, o *operator, pod *corev1.Pod) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"status":{"phase":"Succeeded"}}`))
	if err := o.client.Status().Patch(t.Context(), pod, patch); err != nil {
		t.Fatal(err)
	}
}

// TestFinishedJobsDoNotCount has jobs that nobody but the test works on.
func TestFinishedJobsDoNotCount(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "jobs")
	job := workloads(ns, "2Gi")[3].(*batchv1.Job)
	job.Spec.Suspend, job.Spec.ManagedBy = nil, new("example.com/test")
	o.create(t, job)
	policy := o.policy(t, "jobs", maxMemory("1Gi"), dryRun)
	o.awaitReport(t, policy, 1, 0)

	now := metav1.Now()
	job.Status = batchv1.JobStatus{StartTime: &now, CompletionTime: &now, Succeeded: 1, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{}}
	for _, condition := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	if err := o.client.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	o.awaitReport(t, policy, 0, 0)
}

// TestReportOfAnEditIsNeverTheOldOne watches that a status that speaks of a new spec never tells the findings
// of the old one.
func TestReportOfAnEditIsNeverTheOldOne(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "fresh")
	o.create(t, podOf(ns, "large", "2Gi"))
	policy := o.policy(t, "fresh", maxMemory("1Gi"))
	o.awaitReport(t, policy, 1, 0)
	seen := o.watch(t, policy)
	for range 3 {
		change(t, o, policy, func(p *v1alpha1.LimitPolicy) { maxMemory("4Gi")(&p.Spec) })
		o.awaitReport(t, policy, 0, 0)
		change(t, o, policy, func(p *v1alpha1.LimitPolicy) { maxMemory("1Gi")(&p.Spec) })
		o.awaitReport(t, policy, 1, 0)
	}
	statuses := seen()
	for _, p := range statuses {
		r := p.Status.Report
		if p.Status.ObservedGeneration != p.Generation || r == nil {
			continue
		}
		if most := p.Spec.Limits[0].Max["memory"]; (r.Refused == 1) != (most == "1Gi") {
			t.Errorf("the status of max %s says that %d would be refused", most, r.Refused)
		}
	}
	if len(statuses) < 6 {
		t.Errorf("only %d statuses were seen", len(statuses))
	}
}

// watch gathers every state of a policy from now on.
func (o *operator) watch(t *testing.T, policy *v1alpha1.LimitPolicy) (seen func() []*v1alpha1.LimitPolicy) {
	t.Helper()
	w, err := o.client.Watch(t.Context(), &v1alpha1.LimitPolicyList{}, client.MatchingFields{"metadata.name": policy.Name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	var all []*v1alpha1.LimitPolicy
	return func() []*v1alpha1.LimitPolicy {
		// Up to the state of now, and at least so far.
		last := &v1alpha1.LimitPolicy{}
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(policy), last); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, soon, "the watch shows the last state", func() (bool, string) {
			for {
				select {
				case event, open := <-w.ResultChan():
					p, ok := event.Object.(*v1alpha1.LimitPolicy)
					if !open || !ok {
						t.Fatalf("the watch says %+v", event)
					}
					all = append(all, p)
					if p.ResourceVersion == last.ResourceVersion {
						return true, ""
					}
				default:
					return false, fmt.Sprintf("%d states so far", len(all))
				}
			}
		})
		return all
	}
}
