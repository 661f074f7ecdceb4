// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fairlead/fairlead/controllers/internal/apply"
)

func TestDriftText(t *testing.T) {
	change := func(path, want, found, manager string) []apply.Change {
		return []apply.Change{{Path: path, Want: want, Found: found, Manager: manager}}
	}
	for name, test := range map[string]struct {
		drift apply.Drift
		more  int
		want  string
	}{
		"changed": {
			apply.Drift{Changes: change("spec.limits[type=Container].max[memory]", "512Mi", "2Gi", "kubectl-edit"), Repaired: true, Latency: 4321 * time.Microsecond}, 0,
			"LimitRange shop/fairlead: spec.limits[type=Container].max[memory] changed from 512Mi to 2Gi by kubectl-edit; repaired after 4.3ms",
		},
		"added": {
			apply.Drift{Changes: change("spec.limits[type=Pod]", "", "{}", "kubectl-edit"), Repaired: true, Latency: time.Second}, 2,
			"LimitRange shop/fairlead: spec.limits[type=Pod]={} added by kubectl-edit; repaired after 1s (and 2 more objects)",
		},
		"removed": {
			apply.Drift{Changes: change("metadata.labels[a]", "b", "", "unknown"), Repaired: true}, 0,
			"LimitRange shop/fairlead: metadata.labels[a] removed by unknown (was b); repaired",
		},
		"deleted": {
			apply.Drift{Changes: change("", "", "", "unknown"), Repaired: true, Latency: time.Millisecond}, 0,
			"LimitRange shop/fairlead: deleted by unknown; repaired after 1ms",
		},
		"only reported": {
			apply.Drift{Changes: append(change("spec.a", "1", "2", "x"), change("spec.b", "3", "4", "y")...)}, 0,
			"LimitRange shop/fairlead: spec.a changed from 1 to 2 by x; spec.b changed from 3 to 4 by y",
		},
	} {
		test.drift.Ref = limitRangeIn("shop")
		if got := driftText(&test.drift, test.more); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, test.want)
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
		if got := failureClass(test.err); got != test.want {
			t.Errorf("failureClass(%v) is %q, want %q", test.err, got, test.want)
		}
	}
}
