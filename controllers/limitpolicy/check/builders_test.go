// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/fairlead/fairlead/controllers/limitpolicy/check"
)

const hugePages = corev1.ResourceName(corev1.ResourceHugePagesPrefix + "2Mi")

// list reads "cpu=1 memory=512Mi".
func list(text string) corev1.ResourceList {
	if text == "" {
		return nil
	}
	out := corev1.ResourceList{}
	for _, entry := range strings.Fields(text) {
		name, value, _ := strings.Cut(entry, "=")
		out[corev1.ResourceName(name)] = resource.MustParse(value)
	}
	return out
}

// item makes a LimitRangeItem of its bounds.
func item(limitType corev1.LimitType, bounds map[check.Bound]string) corev1.LimitRangeItem {
	return corev1.LimitRangeItem{
		Type:                 limitType,
		Max:                  list(bounds[check.Max]),
		Min:                  list(bounds[check.Min]),
		Default:              list(bounds[check.Default]),
		DefaultRequest:       list(bounds[check.DefaultRequest]),
		MaxLimitRequestRatio: list(bounds[check.MaxLimitRequestRatio]),
	}
}

// asks are the resources of a container or a pod.
func asks(requests, limits string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: list(requests), Limits: list(limits)}
}

func container(name, requests, limits string) corev1.Container {
	return corev1.Container{Name: name, Resources: asks(requests, limits)}
}

func sidecar(name, requests, limits string) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	c := container(name, requests, limits)
	c.RestartPolicy = &always
	return c
}

func pod(containers ...corev1.Container) *corev1.PodSpec {
	return &corev1.PodSpec{Containers: containers}
}

func compile(items ...corev1.LimitRangeItem) *check.Limits {
	return check.Compile(check.Defaulted(items))
}

// lines writes findings as "effect container rule: message".
func lines(findings []check.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, strings.Join([]string{string(f.Effect), f.Container, f.Rule.String()}, " ")+": "+f.Message)
	}
	return out
}

// equal compares quantities by value and lists nil and empty alike.
func equal[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if !equality.Semantic.DeepEqual(want, got) {
		t.Errorf("%s\nwant: %s\ngot:  %s", what, text(want), text(got))
	}
}

func text(v any) string {
	if list, ok := v.([]string); ok {
		return "\n  " + strings.Join(list, "\n  ")
	}
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}
