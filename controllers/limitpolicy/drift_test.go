// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// events lists what was told of a policy for a reason.
func (o *operator) events(t *testing.T, policy *v1alpha1.LimitPolicy, reason string) []eventsv1.Event {
	t.Helper()
	var list eventsv1.EventList
	if err := o.client.List(t.Context(), &list, inNamespace("default")); err != nil {
		t.Fatal(err)
	}
	var out []eventsv1.Event
	for i := range list.Items {
		if e := &list.Items[i]; e.Regarding.UID == policy.UID && e.Reason == reason {
			out = append(out, *e)
		}
	}
	return out
}

func (o *operator) awaitEvent(t *testing.T, policy *v1alpha1.LimitPolicy, reason string) eventsv1.Event {
	t.Helper()
	var found []eventsv1.Event
	testutil.Eventually(t, soon, "an event "+reason+" of "+policy.Name, func() (bool, string) {
		found = o.events(t, policy, reason)
		return len(found) > 0, "there is none"
	})
	return found[0]
}

// figure reads one of the operator's own metrics; of a histogram the count. Labels are name, value pairs.
func figure(t *testing.T, name string, labels ...string) (value float64, ok bool) {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && hasLabels(metric, labels) {
				return metric.GetGauge().GetValue() + metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount()), true
			}
		}
	}
	return 0, false
}

func hasLabels(metric *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		found := false
		for _, pair := range metric.GetLabel() {
			found = found || pair.GetName() == labels[i] && pair.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}

func TestDriftIsRepairedAndTold(t *testing.T) {
	t.Parallel()
	o := running(t)
	ns := o.namespace(t, "drifts")
	policy := o.policy(t, "drifts", maxMemory("1Gi"))
	o.awaitCovered(t, policy, 1)
	repairs, _ := figure(t, "fairlead_drift_repairs_total", "kind", "LimitRange")
	seconds, _ := figure(t, "fairlead_drift_repair_seconds", "kind", "LimitRange")

	change(t, o, o.limitRange(t, ns), func(l *corev1.LimitRange) { l.Spec.Limits[0].Max = foreignLimitRange("", "").Spec.Limits[0].Min })
	o.wantBounds(t, "Container max memory=1Gi", ns)
	event := o.awaitEvent(t, policy, "DriftRepaired")
	want := regexp.MustCompile(`^LimitRange ` + ns + `/fairlead: spec\.limits\[type=Container\]\.max\[memory\] changed from 1Gi to 4Gi by ` + editor + `; repaired after [0-9.]+(ms|s)$`)
	if !want.MatchString(event.Note) {
		t.Errorf("the event says %q, want %s", event.Note, want)
	}
	if event.Type != corev1.EventTypeNormal || event.Action != "Repair" || event.Regarding.Kind != "LimitPolicy" || event.ReportingController != "fairlead" {
		t.Errorf("the event is %+v", event)
	}
	got := o.await(t, policy, "the repair in the status", func(p *v1alpha1.LimitPolicy) bool { return len(p.Status.Repairs) > 0 })
	if r := got.Status.Repairs[0]; r.Object != "LimitRange "+ns+"/fairlead" || r.Field != "spec.limits[type=Container].max[memory]" ||
		r.Want != "1Gi" || r.Found != "4Gi" || r.Manager != editor || !r.Repaired || r.Time.IsZero() {
		t.Errorf("the repair is told as %+v", r)
	}

	// The next one has an event of its own, though all but its text is the same.
	if err := o.client.Delete(t.Context(), o.limitRange(t, ns)); err != nil {
		t.Fatal(err)
	}
	o.wantBounds(t, "Container max memory=1Gi", ns)
	testutil.Eventually(t, soon, "an event of the deletion", func() (bool, string) {
		var notes []string
		for _, e := range o.events(t, policy, "DriftRepaired") {
			notes = append(notes, e.Note)
		}
		all := strings.Join(notes, "\n")
		return strings.Contains(all, "LimitRange "+ns+"/fairlead: deleted by unknown; repaired after "), all
	})
	if now, _ := figure(t, "fairlead_drift_repairs_total", "kind", "LimitRange"); now < repairs+2 {
		t.Errorf("fairlead_drift_repairs_total went from %v to %v", repairs, now)
	}
	if now, _ := figure(t, "fairlead_drift_repair_seconds", "kind", "LimitRange"); now < seconds+2 {
		t.Errorf("fairlead_drift_repair_seconds counted %v, then %v", seconds, now)
	}
}

func TestMetricsOfAPolicy(t *testing.T) {
	t.Parallel()
	o := running(t)
	a, b := o.namespace(t, "measured"), o.namespace(t, "measured")
	o.create(t, foreignLimitRange(b, "fairlead"))
	for i := range 3 {
		pod := &corev1.Pod{Spec: podSpec("2Gi")}
		pod.Namespace, pod.Name = a, fmt.Sprintf("large-%d", i)
		o.create(t, pod)
	}
	policy := o.policy(t, "measured", maxMemory("1Gi"))
	want := func(value float64, name string, labels ...string) {
		t.Helper()
		testutil.Eventually(t, soon, fmt.Sprintf("%s%v is %v", name, labels, value), func() (bool, string) {
			got, ok := figure(t, name, append(labels, "policy", policy.Name)...)
			return ok && got == value, fmt.Sprintf("it is %v (%v)", got, ok)
		})
	}
	want(2, "fairlead_limitpolicy_namespaces", "state", "selected")
	want(1, "fairlead_limitpolicy_namespaces", "state", "covered")
	want(1, "fairlead_limitpolicy_namespaces", "state", "failed")
	want(3, "fairlead_limitpolicy_violations", "effect", "Refused", "rule", "limits[Container].max[memory]")

	if err := o.client.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fairlead_limitpolicy_namespaces", "fairlead_limitpolicy_violations"} {
		testutil.Eventually(t, soon, name+" of a deleted policy goes", func() (bool, string) {
			got, ok := figure(t, name, "policy", policy.Name)
			return !ok, fmt.Sprintf("it is %v", got)
		})
	}
}
