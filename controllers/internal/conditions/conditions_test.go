// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package conditions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestCut(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("ä", 300), strings.Repeat("x", 511) + "ä", strings.Repeat("x", 10_000), "bad \xff bytes"} {
		got := Cut(text)
		if len(got) > 512 || !utf8.ValidString(got) {
			t.Errorf("Cut(%.20q…) is %d bytes, valid: %v", text, len(got), utf8.ValidString(got))
		}
		if utf8.ValidString(text) && len(text) <= 512 && got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestFailureClass(t *testing.T) {
	resource := schema.GroupResource{Resource: "limitranges"}
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, test := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{apierrors.NewForbidden(resource, "fairlead", errors.New("no")), "Forbidden"},
		{fmt.Errorf("apply: %w", apierrors.NewTooManyRequests("slow down", 1)), "TooManyRequests"},
		{errors.Join(errors.New("other"), apierrors.NewInternalError(errors.New("x"))), "InternalError"},
		{fmt.Errorf("patch: %w", context.DeadlineExceeded), "Timeout"},
		{&url.Error{Op: "Get", URL: "https://x", Err: context.DeadlineExceeded}, "Timeout"},
		{fmt.Errorf("get: %w", &url.Error{Op: "Get", URL: "https://x", Err: dial}), "ConnectionFailed"},
		{errors.New("the object kept changing"), "Failed"},
	} {
		if got := FailureClass(test.err); got != test.want {
			t.Errorf("FailureClass(%v) is %q, want %q", test.err, got, test.want)
		}
	}
}

func TestSet(t *testing.T) {
	var list []metav1.Condition
	Set(&list, 3, Condition{"Ready", No("Progressing", "%d left", 2)}, Condition{"Stalled", DoesNotApply})
	if len(list) != 1 || list[0].Status != metav1.ConditionFalse || list[0].Message != "2 left" || list[0].ObservedGeneration != 3 {
		t.Errorf("the conditions are %+v", list)
	}
	Set(&list, 4, Condition{"Ready", DoesNotApply}, Condition{"Stalled", Yes("InvalidSpec", "no")})
	if len(list) != 1 || list[0].Type != "Stalled" || list[0].ObservedGeneration != 4 {
		t.Errorf("the conditions are %+v", list)
	}
}

func TestSample(t *testing.T) {
	var s Sample
	for _, text := range []string{"b", "a", "c"} {
		s.Add(text)
	}
	if s.String() != "a (and 2 more)" {
		t.Errorf("the sample is %s", &s)
	}
}
