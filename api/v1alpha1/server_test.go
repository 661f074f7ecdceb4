// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
)

// A spec is the spec of a LimitPolicy as JSON, so that it can hold what the Go types cannot.
type spec map[string]any

func fromYAML(text string) (spec, error) {
	var s spec
	err := yaml.Unmarshal([]byte(text), &s)
	return s, err
}

func fromTyped(in v1alpha1.LimitPolicySpec) (spec, error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var s spec
	err = json.Unmarshal(text, &s)
	return s, err
}

func (s spec) String() string {
	text, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// create asks the real API server for a dry run of a LimitPolicy with this spec.
func (s spec) create(ctx context.Context) error {
	gvk := v1alpha1.GroupVersion.WithKind("LimitPolicy")
	return create(ctx, gvk.GroupVersion().String(), gvk.Kind, metav1.ObjectMeta{Name: "policy"}, s)
}

// createChildren asks the real API server for a dry run of the LimitRange and the ResourceQuota that the operator
// makes of this spec, whose fields have the same names there, and has the label selector checked.
func (s spec) createChildren(ctx context.Context) error {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "policy"}
	errs := []error{s.validateSelector()}
	if limits, ok := s["limits"]; ok {
		errs = append(errs, create(ctx, "v1", "LimitRange", meta, map[string]any{"limits": limits}))
	}
	if quota, ok := s["quota"].(map[string]any); ok {
		errs = append(errs, create(ctx, "v1", "ResourceQuota", meta, quota))
	}
	return errors.Join(errs...)
}

func (s spec) validateSelector() error {
	text, err := json.Marshal(s["namespaceSelector"])
	if err != nil {
		return err
	}
	var selector *metav1.LabelSelector
	if err := json.Unmarshal(text, &selector); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	errs := metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, field.NewPath("namespaceSelector"))
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("LimitPolicy").GroupKind(), "policy", errs)
	}
	_, err = metav1.LabelSelectorAsSelector(selector)
	return err
}

func create(ctx context.Context, apiVersion, kind string, meta metav1.ObjectMeta, spec map[string]any) error {
	obj := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": maps.Clone(spec)}}
	obj.SetName(meta.Name)
	obj.SetNamespace(meta.Namespace)
	return server.Create(ctx, obj, client.DryRunAll)
}

// refused tells a refusal from acceptance. The error is anything else that a request can end with.
func refused(err error) (bool, error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var some bool
		for _, e := range joined.Unwrap() {
			one, err := refused(e)
			if err != nil {
				return false, err
			}
			some = some || one
		}
		return some, nil
	}
	switch {
	case err == nil:
		return false, nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return true, nil
	default:
		return false, fmt.Errorf("neither accepted nor refused: %w", err)
	}
}

// wording turns what differs between Kubernetes releases into one form: before a rule's message stands the value in
// newer ones and its type in older ones, and some of the schema's own messages have changed.
var wording = []struct {
	pattern *regexp.Regexp
	form    string
}{
	{regexp.MustCompile(`^Invalid value: (?:-?\d+|"integer"): (must be )`), "$1"},
	{regexp.MustCompile(`^Invalid value: (?:"(?:[^"\\]|\\.)*": )?`), ""},
	{regexp.MustCompile(`^Too long: may not be longer than (\d+)$`), "Too long: may not be more than $1 bytes"},
	{regexp.MustCompile(`^Duplicate value: map\[string\]interface \{\}`), "Duplicate value: "},
	{regexp.MustCompile(`^(Duplicate value: \{.*"), "`), `$1,"`},
}

// messages returns what a person reads in a refusal, each as "field: message", sorted, without the remark that the
// CEL rules were skipped because of the others.
func messages(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != http.StatusUnprocessableEntity {
		return []string{fmt.Sprint(err)}
	}
	var all []string
	for _, c := range status.Status().Details.Causes {
		if !strings.Contains(c.Message, "some validation rules were not checked") {
			message := c.Message
			for _, w := range wording {
				message = w.pattern.ReplaceAllString(message, w.form)
			}
			all = append(all, c.Field+": "+message)
		}
	}
	slices.Sort(all)
	return all
}
