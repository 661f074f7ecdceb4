// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package limitpolicy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// renew deletes a namespace of a tier and makes it anew as soon as its name is free.
func (o *operator) renew(t *testing.T, name, tierValue string) {
	t.Helper()
	if err := o.client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, soon, "the name is free", func() (bool, string) {
		next := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{tier: tierValue}}}
		err := o.client.Create(t.Context(), next)
		return err == nil, fmt.Sprint(err)
	})
}

func TestNamespaceRecreatedAtOnce(t *testing.T) {
	t.Parallel()
	o := running(t)
	for _, drift := range []v1alpha1.DriftMode{v1alpha1.Repair, v1alpha1.Warn} {
		t.Run(string(drift), func(t *testing.T) {
			t.Parallel()
			label := unique("renewed")
			name := o.namespace(t, label)
			policy := o.policy(t, label, maxMemory("1Gi"), func(spec *v1alpha1.LimitPolicySpec) { spec.Drift = drift })
			o.wantBounds(t, "Container max memory=1Gi", name)
			for range 2 {
				o.renew(t, name, label)
				o.wantBounds(t, "Container max memory=1Gi", name)
				o.awaitCovered(t, policy, 1)
			}
		})
	}
}

// TestNamespaceSaidToGo has the API server's admission be behind: it takes a new namespace for the earlier one of its
// name, which goes.
func TestNamespaceSaidToGo(t *testing.T) {
	t.Parallel()
	o := running(t)
	name := o.namespace(t, "behind")
	policy := o.policy(t, "behind", maxMemory("1Gi"))
	o.awaitCovered(t, policy, 1)
	var renewed atomic.Bool
	var after atomic.Int32
	o.faults.Inject(1<<20, func(r testutil.Request) bool {
		return r.Method == http.MethodPost && strings.Contains(r.Path, "/namespaces/"+name+"/limitranges")
	}, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if renewed.Load() && after.Add(1) > 2 {
			return next.RoundTrip(req)
		}
		return saidToGo(req, name)
	})
	o.renew(t, name, "behind")
	renewed.Store(true)
	o.wantBounds(t, "Container max memory=1Gi", name)
	honest(t, o.awaitCovered(t, policy, 1))
}

// saidToGo is the API server's answer to a creation in a namespace that is being deleted.
func saidToGo(req *http.Request, namespace string) (*http.Response, error) {
	refused := apierrors.NewForbidden(corev1.Resource("limitranges"), "", nil).ErrStatus
	refused.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	refused.Details.Causes = []metav1.StatusCause{{
		Type: corev1.NamespaceTerminatingCause, Message: "namespace " + namespace + " is being terminated", Field: "metadata.namespace",
	}}
	body, err := json.Marshal(refused)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: int(refused.Code), Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// TestNamespaceRecreatedUnseen has the watches be down while a namespace is made anew: the operator sees another one
// in its place, with the same labels, and nothing in it. That is no foreign change that mode Warn would leave.
func TestNamespaceRecreatedUnseen(t *testing.T) {
	o := running(t)
	name := o.namespace(t, "unseen")
	policy := o.policy(t, "unseen", maxMemory("1Gi"), func(spec *v1alpha1.LimitPolicySpec) { spec.Drift = v1alpha1.Warn })
	o.awaitCovered(t, policy, 1)
	var down sync.WaitGroup
	renewed := make(chan struct{})
	expired := testutil.Answer(http.StatusGone, metav1.StatusReasonExpired, 0)
	for _, path := range []string{"/api/v1/namespaces", "/api/v1/limitranges"} {
		down.Add(1)
		o.faults.Inject(1, func(r testutil.Request) bool { return r.Watch && r.Path == path },
			func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
				down.Done()
				select {
				case <-renewed:
				case <-req.Context().Done():
				}
				if req.URL.Query().Get("sendInitialEvents") == "true" {
					return next.RoundTrip(req)
				}
				return expired(req, next)
			})
	}
	o.faults.CutWatches()
	down.Wait()
	o.renew(t, name, "unseen")
	close(renewed)
	o.wantBounds(t, "Container max memory=1Gi", name)
	o.awaitCovered(t, policy, 1)
}
