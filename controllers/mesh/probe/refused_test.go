// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestRefused makes sense of refusals that an API server does not give at will.
func TestRefused(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	forbidden := func(why string) error { return apierrors.NewForbidden(pods, "fairlead-probe-x7k2p", errors.New(why)) }
	failed := func(why string) error {
		return apierrors.NewInternalError(errors.New(`failed calling webhook "a.istio.io": failed to call webhook: Post "https://istiod.a.svc:443/inject?timeout=10s": ` + why))
	}
	unreached := func(why string) Result { return Result{Why: "webhook a.istio.io does not answer: " + why} }
	for name, test := range map[string]struct {
		err   error
		retry bool
		want  Result
	}{
		"no account yet": {forbidden(`error looking up service account a/default: serviceaccount "default" not found`), true, Result{}},
		"no connection":  {errors.New("connection refused"), true, Result{}},
		"no pods of it":  {failed(`no endpoints available for service "istiod"`), false, unreached("its Service has no ready pods")},
		"a reset":        {failed("read tcp 10.0.0.5:43210->10.0.0.6:15017: read: connection reset by peer"), false, unreached("the connection breaks")},
		"no route":       {failed("dial tcp 10.0.0.6:15017: connect: no route to host"), false, unreached("there is no route to it")},
		"anything":       {failed("something of 10.0.0.6:15017"), false, unreached("the call fails")},
		"of others": {
			forbidden("no by fairlead"), false,
			Result{Answers: true, Why: "a dry-run pod is refused, so whether it is injected is not known: the pod is forbidden: no by fairlead"},
		},
	} {
		if got, ok := refused(test.err); ok == test.retry || got != test.want {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
}
