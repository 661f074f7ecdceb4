// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/plugin/pkg/admission/limitranger"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

// tally counts what the cases were, to show that they were not all alike.
type tally map[string]int

func (t tally) add(o tally) {
	for key, n := range o {
		t[key] += n
	}
}

func (t tally) count(key string, yes bool) {
	if yes {
		t[key]++
	}
}

// comparePod gives the first difference between the API server and our check, or nil.
func (s *apiServer) comparePod(sc *scenario, t tally) error {
	lr := limitRange(sc.items)
	limits := check.Compile(check.Defaulted(sc.items))
	want, err := s.createPod(lr, sc.pod)
	if err != nil {
		return err
	}
	before := sc.pod.DeepCopy()
	got := limits.Pod(&sc.pod.Spec)
	if !same(before, sc.pod) {
		return fmt.Errorf("the check changed its input")
	}
	t.countPod(lr, want, got)
	for _, err := range []error{
		compareVerdict(want, got),
		compareInvalid(want, got),
		compareDefaults(want, got),
		compareBlame(lr, want, got),
		compareStages(limits, sc.pod, got),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (t tally) countPod(lr *corev1.LimitRange, want *podOutcome, got []check.Finding) {
	t["pods"]++
	t.count("pods under a LimitRange that the API server accepts", validLimitRange(lr))
	t.count("pods valid without limits", want.validWithout)
	t.count("pods refused by the plugin", want.refused)
	t.count("pods made invalid by defaults", want.validWithout && len(want.invalid) > 0)
	t.count("pods changed", want.admitted.Annotations["kubernetes.io/limit-ranger"] != "")
	t.count("pods left as they are", len(got) == 0)
	t.count("pods with pod-level resources", want.stored.Spec.Resources != nil)
}

// same tells whether an object is still what its copy was. The text decides where the bits differ, since
// a copy of an arbitrary-precision zero is not the same in memory.
func same(before, after any) bool {
	if reflect.DeepEqual(before, after) {
		return true
	}
	a, errA := json.Marshal(before)
	b, errB := json.Marshal(after)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// refusals are the sorted messages of the findings that refuse, of the plugin or of the validation.
func refusals(findings []check.Finding, plugin bool) []string {
	var out []string
	for _, f := range findings {
		filled := f.Rule.Bound == check.Default || f.Rule.Bound == check.DefaultRequest
		if f.Effect == check.Refused && filled != plugin {
			out = append(out, f.Message)
		}
	}
	slices.Sort(out)
	return out
}

func different(what string, want, got []string) error {
	if slices.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("%s differ:\nAPI server:\n  %s\ncheck:\n  %s", what, strings.Join(want, "\n  "), strings.Join(got, "\n  "))
}

func compareVerdict(want *podOutcome, got []check.Finding) error {
	messages := refusals(got, true)
	if want.refused != (len(messages) > 0) {
		return fmt.Errorf("refused by the plugin: API server %v %q, check %v %q", want.refused, want.messages, !want.refused, messages)
	}
	return different("the plugin's messages", want.messages, messages)
}

// compareInvalid compares what is wrong with the pod that the plugin changed, if nothing was wrong before.
func compareInvalid(want *podOutcome, got []check.Finding) error {
	if !want.validWithout {
		return nil
	}
	return different("the validation's messages", want.invalid, refusals(got, false))
}

// compareDefaults applies the Changed findings to the pod and expects what the plugin made of it, annotation included.
func compareDefaults(want *podOutcome, got []check.Finding) error {
	pod := want.defaulted.DeepCopy()
	if annotation := apply(pod, got); annotation != want.admitted.Annotations["kubernetes.io/limit-ranger"] {
		return fmt.Errorf("annotation: API server %q, check %q", want.admitted.Annotations["kubernetes.io/limit-ranger"], annotation)
	}
	theirs, ours := resourcesOf(want.admitted), resourcesOf(pod)
	if !maps.Equal(theirs, ours) {
		return fmt.Errorf("resources after defaults (-API server +check):\n%s", cmp.Diff(theirs, ours))
	}
	return nil
}

// apply makes the changes and returns the annotation that the plugin would leave.
func apply(pod *core.Pod, findings []check.Finding) string {
	var notes []string
	for _, group := range []struct {
		kind string
		list []core.Container
	}{{"container", pod.Spec.Containers}, {"init container", pod.Spec.InitContainers}} {
		for i := range group.list {
			c := &group.list[i]
			requests := fillIn(&c.Resources.Requests, findings, c.Name, check.DefaultRequest)
			limits := fillIn(&c.Resources.Limits, findings, c.Name, check.Default)
			if requests != "" {
				notes = append(notes, requests+" request for "+group.kind+" "+c.Name)
			}
			if limits != "" {
				notes = append(notes, limits+" limit for "+group.kind+" "+c.Name)
			}
		}
	}
	if len(notes) == 0 {
		return ""
	}
	return "LimitRanger plugin set: " + strings.Join(notes, "; ")
}

func fillIn(list *core.ResourceList, findings []check.Finding, container string, bound check.Bound) string {
	var names []string
	for _, f := range findings {
		if f.Effect != check.Changed || f.Container != container || f.Rule.Bound != bound {
			continue
		}
		name := core.ResourceName(f.Rule.Resource)
		if _, ok := (*list)[name]; ok {
			names = append(names, "ALREADY SET "+string(name))
		}
		if *list == nil {
			*list = core.ResourceList{}
		}
		(*list)[name] = f.Value
		names = append(names, string(name))
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// resourcesOf writes out all resources of the containers: "c0 limits cpu" to "100m".
func resourcesOf(pod *core.Pod) map[string]string {
	out := map[string]string{}
	for _, list := range [][]core.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, c := range list {
			for name, q := range c.Resources.Requests {
				out[c.Name+" requests "+string(name)] = q.String()
			}
			for name, q := range c.Resources.Limits {
				out[c.Name+" limits "+string(name)] = q.String()
			}
		}
	}
	return out
}

// compareBlame runs the plugin's check on each container alone, since its messages do not name the container.
func compareBlame(lr *corev1.LimitRange, want *podOutcome, got []check.Finding) error {
	only := &corev1.LimitRange{}
	for _, item := range lr.Spec.Limits {
		if item.Type == corev1.LimitTypeContainer {
			only.Spec.Limits = append(only.Spec.Limits, item)
		}
	}
	for _, list := range [][]core.Container{want.admitted.Spec.Containers, want.admitted.Spec.InitContainers} {
		for i := range list {
			alone := &core.Pod{Spec: core.PodSpec{Containers: list[i : i+1]}}
			mine := slices.DeleteFunc(slices.Clone(got), func(f check.Finding) bool { return f.Container != list[i].Name })
			expected := messages(limitranger.PodValidateLimitFunc(only, alone))
			if err := different("messages for container "+list[i].Name, expected, refusals(mine, true)); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareStages expects the same findings of the raw pod, of the template that a workload stores and of the
// defaulted pod.
func compareStages(limits *check.Limits, pod *corev1.Pod, raw []check.Finding) error {
	template := &corev1.PodTemplate{Template: corev1.PodTemplateSpec{Spec: *pod.Spec.DeepCopy()}}
	legacyscheme.Scheme.Default(template)
	defaulted := pod.DeepCopy()
	legacyscheme.Scheme.Default(defaulted)
	for stage, spec := range map[string]*corev1.PodSpec{"template": &template.Template.Spec, "defaulted pod": &defaulted.Spec} {
		if got := limits.Pod(spec); !slices.EqualFunc(raw, got, equalFindings) {
			return fmt.Errorf("findings for the %s differ (-raw +%s):\n%s", stage, stage, cmp.Diff(raw, got))
		}
	}
	return nil
}

func equalFindings(a, b check.Finding) bool {
	return a.Rule == b.Rule && a.Effect == b.Effect && a.Container == b.Container && a.Message == b.Message &&
		a.Value.Equal(b.Value)
}

// compareClaim is comparePod for the claim.
func (s *apiServer) compareClaim(sc *scenario, t tally) error {
	lr := limitRange(sc.items)
	refused, want, err := s.createClaim(lr, sc.claim)
	if err != nil {
		return err
	}
	before := sc.claim.DeepCopy()
	findings := check.Compile(check.Defaulted(sc.items)).Claim(&sc.claim.Spec)
	if !same(before, sc.claim) {
		return fmt.Errorf("the check changed its input")
	}
	got := refusals(findings, true)
	t["claims"]++
	t.count("claims refused", refused)
	if refused != (len(got) > 0) || refused != check.AnyRefused(findings) || len(got) != len(findings) {
		return fmt.Errorf("claim refused: API server %v %q, check %+v", refused, want, findings)
	}
	return different("the plugin's messages for the claim", want, got)
}
