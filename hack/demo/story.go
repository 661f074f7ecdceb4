// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
)

const (
	operatorNamespace = "fairlead-system"
	poll              = 50 * time.Millisecond
	patience          = 2 * time.Minute
)

func team(i int) string { return fmt.Sprintf("team-%03d", i) }

func (d *demo) ensureNamespace(ctx context.Context, name string, labels map[string]string) error {
	err := d.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	return client.IgnoreAlreadyExists(err)
}

// teams makes the namespaces and, in the first, pods from the time before there was a policy.
func (d *demo) teams(ctx context.Context) error {
	last := time.Now()
	for i := range d.namespaces {
		if err := d.ensureNamespace(ctx, team(i), map[string]string{"tier": "team"}); err != nil {
			return err
		}
		if time.Since(last) > time.Second {
			d.progress("%d of %d", i+1, d.namespaces)
			last = time.Now()
		}
	}
	if err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, types.NamespacedName{Namespace: team(0), Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	}); err != nil {
		return err
	}
	if err := d.pods(ctx); err != nil {
		return err
	}
	var err error
	d.watch, err = newWatcher(ctx, d.plain)
	return err
}

func (d *demo) pods(ctx context.Context) error {
	for name, memory := range map[string]string{"web": "512Mi", "cache": "384Mi", "sidecar": "256Mi"} {
		if err := client.IgnoreAlreadyExists(d.client.Create(ctx, d.pod(team(0), name, memory))); err != nil {
			return err
		}
	}
	if _, runs := d.stage.image(); !runs {
		d.say("made, labelled tier=team; three pods wait for a node in %s", team(0))
		return nil
	}
	if err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		found, err := d.plain.CoreV1().Pods(team(0)).List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		return err == nil && len(found.Items) == 3, err
	}); err != nil {
		return fmt.Errorf("the pods in %s do not run: %w", team(0), err)
	}
	d.say("made, labelled tier=team; three pods run in %s", team(0))
	return nil
}

func (d *demo) pod(namespace, name, memory string) *corev1.Pod {
	image, _ := d.stage.image()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}},
		}}},
	}
}

func policy(name string, priority int32, maximum, minimum v1alpha1.Amount) *v1alpha1.LimitPolicy {
	item := v1alpha1.LimitItem{Type: corev1.LimitTypeContainer, Max: v1alpha1.Amounts{corev1.ResourceMemory: maximum}}
	if minimum != "" {
		item.Min = v1alpha1.Amounts{corev1.ResourceMemory: minimum}
	}
	return &v1alpha1.LimitPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.LimitPolicySpec{
			NamespaceSelector: v1alpha1.NamespaceSelector{MatchLabels: map[string]v1alpha1.LabelValue{"tier": "team"}},
			Priority:          priority,
			Limits:            []v1alpha1.LimitItem{item},
		},
	}
}

// policy covers all namespaces and waits until the status says so.
func (d *demo) policy(ctx context.Context) error {
	d.say("kind: LimitPolicy, for tier=team: each container gets at most 512Mi of memory and at least 256Mi")
	start := time.Now()
	if err := d.client.Create(ctx, policy("team-default", 100, "512Mi", "256Mi")); err != nil {
		return err
	}
	if err := d.watch.wait(ctx, func() bool { return len(d.watch.present) == d.namespaces }, func() {
		d.progress("%d of %d namespaces have their LimitRange", len(d.watch.present), d.namespaces)
	}); err != nil {
		return err
	}
	took := time.Since(start)
	if _, err := d.await(ctx, "team-default", func(p *v1alpha1.LimitPolicy) bool {
		return p.Status.Namespaces != nil && int(p.Status.Namespaces.Covered) == d.namespaces &&
			meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady)
	}); err != nil {
		return err
	}
	d.say("all %d namespaces are covered after %s", d.namespaces, took.Round(time.Millisecond))
	return nil
}

func (d *demo) greedy(ctx context.Context) error {
	err := d.client.Create(ctx, d.pod(team(1), "greedy", "2Gi"))
	if !apierrors.IsForbidden(err) {
		return fmt.Errorf("a pod with a limit of 2Gi was not refused: %w", errors.Join(err, errors.New("want Forbidden")))
	}
	d.say("the API server refuses a pod with a limit of 2Gi:")
	d.say("  %s", err)
	return nil
}

// drift changes two LimitRanges and tells what became of them.
func (d *demo) drift(ctx context.Context) error {
	edited := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: team(2), Name: render.Name}}
	body := []byte(`{"spec":{"limits":[{"type":"Container","max":{"memory":"8Gi"}}]}}`)
	start := time.Now()
	if err := d.client.Patch(ctx, edited, client.RawPatch(types.MergePatchType, body), client.FieldOwner("kubectl-edit")); err != nil {
		return err
	}
	if err := d.tellRepair(ctx, team(2), start); err != nil {
		return err
	}
	deleted := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: team(3), Name: render.Name}}
	start = time.Now()
	if err := d.client.Delete(ctx, deleted); err != nil {
		return err
	}
	return d.tellRepair(ctx, team(3), start)
}

func (d *demo) tellRepair(ctx context.Context, namespace string, start time.Time) error {
	var took time.Duration
	if err := d.watch.wait(ctx, func() bool {
		took = d.watch.repaired[namespace].Sub(d.watch.broken[namespace])
		return d.watch.broken[namespace].After(start) && took > 0
	}, func() { d.progress("waiting for the repair in %s", namespace) }); err != nil {
		return err
	}
	object := "LimitRange " + namespace + "/" + render.Name
	found, err := d.await(ctx, "team-default", func(p *v1alpha1.LimitPolicy) bool { return len(repairsOf(p, object)) > 0 })
	if err != nil {
		return err
	}
	for _, r := range repairsOf(found, object) {
		d.say("%s: %s", object, changeText(r))
	}
	d.say("  right again %.1f ms after the event of the change", float64(took.Microseconds())/1000)
	return nil
}

func changeText(r v1alpha1.RepairRecord) string {
	switch {
	case r.Field == "":
		return "deleted by " + r.Manager + " (a deletion leaves no trace of who)"
	case r.Found == "":
		return fmt.Sprintf("%s was removed by %s (was %s)", r.Field, r.Manager, r.Want)
	case r.Want == "":
		return fmt.Sprintf("%s=%s was added by %s", r.Field, r.Found, r.Manager)
	default:
		return fmt.Sprintf("%s was changed from %s to %s by %s", r.Field, r.Want, r.Found, r.Manager)
	}
}

func repairsOf(p *v1alpha1.LimitPolicy, object string) []v1alpha1.RepairRecord {
	var out []v1alpha1.RepairRecord
	for _, r := range p.Status.Repairs {
		if r.Object == object {
			out = append(out, r)
		}
	}
	return out
}

func (d *demo) conflict(ctx context.Context) error {
	d.say("policy generous, of lower priority, allows 4Gi")
	if err := d.client.Create(ctx, policy("generous", 10, "4Gi", "")); err != nil {
		return err
	}
	found, err := d.await(ctx, "generous", func(p *v1alpha1.LimitPolicy) bool {
		return meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionOverridden) && len(p.Status.Overridden) > 0 &&
			p.Status.Overridden[0].Namespaces == int32(d.namespaces)
	})
	if err != nil {
		return err
	}
	d.say("  Overridden: %s", meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionOverridden).Message)
	return nil
}

func (d *demo) dryRun(ctx context.Context) error {
	d.say("policy strict, enforcement: DryRun, would allow 300Mi")
	strict := policy("strict", 200, "300Mi", "")
	strict.Spec.Enforcement = v1alpha1.DryRun
	if err := d.client.Create(ctx, strict); err != nil {
		return err
	}
	found, err := d.await(ctx, "strict", func(p *v1alpha1.LimitPolicy) bool { return p.Status.Report != nil && p.Status.Report.Refused == 2 })
	if err != nil {
		return err
	}
	d.say("it writes nothing, and would refuse %d of the pods that are there:", found.Status.Report.Refused)
	for _, f := range found.Status.Report.Top {
		d.say("  %s %s/%s: %s", f.Kind, f.Namespace, f.Name, f.Message)
	}
	return nil
}

// await waits until a policy is as asked.
func (d *demo) await(ctx context.Context, name string, enough func(*v1alpha1.LimitPolicy) bool) (*v1alpha1.LimitPolicy, error) {
	found := &v1alpha1.LimitPolicy{}
	err := d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		err := d.client.Get(ctx, types.NamespacedName{Name: name}, found)
		return err == nil && enough(found), err
	})
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w; its status is %+v", name, err, found.Status)
	}
	return found, nil
}

func (d *demo) waitFor(ctx context.Context, condition wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextTimeout(ctx, poll, patience, true, condition)
}

// remove deletes what the demo made on a control plane that stays. The policies go first, while the operator runs.
func (d *demo) remove(ctx context.Context) error {
	lb := &v1alpha1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: shop}}
	errs := []error{
		d.removeMesh(ctx),
		client.IgnoreNotFound(d.client.Delete(ctx, lb)),
		client.IgnoreNotFound(d.client.Delete(ctx, namespace(shop))),
	}
	for _, name := range []string{"strict", "generous", "team-default"} {
		errs = append(errs, client.IgnoreNotFound(d.client.Delete(ctx, policy(name, 0, "1", ""))))
	}
	for i := range d.namespaces {
		errs = append(errs, client.IgnoreNotFound(d.client.Delete(ctx, namespace(team(i)))))
	}
	errs = append(errs, d.waitFor(ctx, func(ctx context.Context) (bool, error) {
		var left corev1.NamespaceList
		if err := d.client.List(ctx, &left, client.MatchingLabels{"tier": "team"}); err != nil {
			return false, err
		}
		ours := 0
		for _, namespace := range left.Items {
			if strings.HasPrefix(namespace.Name, "team-") {
				ours++
			}
		}
		return ours == 0, nil
	}))
	return errors.Join(errs...)
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
