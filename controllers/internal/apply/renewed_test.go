// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// saidToGo answers a creation as the API server does while its admission takes the namespace for an earlier one of
// the name, which goes.
func saidToGo(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
	refused := apierrors.NewForbidden(corev1.Resource("objects"), "", nil).ErrStatus
	refused.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	refused.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	body, err := json.Marshal(refused)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: int(refused.Code), Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// TestNamespaceSaidToGo holds that a creation is tried again, without any event, until the namespace is known.
func TestNamespaceSaidToGo(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "behind")
	key := "behind/" + namespace + "/a"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	ref := o.ref(object)
	o.faults.Inject(3, toObject(http.MethodPost, o.path(ref)), saidToGo)
	o.declare(key, object)
	o.await(key, 0, "in force", func(r run) bool { return r.InForce == 1 && r.Desired == 1 && len(r.Going) == 0 })
	runs := o.runs(key, 0)
	for i := range 3 {
		r := runs[i]
		if r.err != nil || r.Desired != 0 || len(r.Going) != 1 || r.Going[0] != ref || r.RequeueAfter != goingRecheck<<i {
			t.Errorf("run %d is %v", i, r)
		}
	}
}

// TestNamespaceSaidToGoWithAnEvent has the end of the object before come while the creation is refused.
func TestNamespaceSaidToGoWithAnEvent(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "behind")
	key := "behind/" + namespace + "/b"
	o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
	object := configMap(namespace, "a")
	ref := o.ref(object)
	o.faults.Inject(1, toObject(http.MethodPost, o.path(ref)), func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		o.engine.known(ref).observe(&Object{ObjectMeta: metav1.ObjectMeta{UID: "before", ResourceVersion: "1"}}, true)
		return saidToGo(req, next)
	})
	o.declare(key, object)
	o.await(key, 0, "in force", func(r run) bool { return r.InForce == 1 })
	if r := o.runs(key, 0)[0]; r.InForce != 1 || r.Desired != 1 || len(r.Going) != 0 {
		t.Errorf("the first run is %v", r)
	}
}

// TestGoes holds that a namespace that goes for long is not asked for often.
func TestGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &entry{}
		last := time.Duration(0)
		for range 100 {
			wait := n.goes()
			if wait < last || wait < goingRecheck || wait > foreignRecheck {
				t.Fatalf("after %v comes %v", last, wait)
			}
			last = wait
		}
		if last != foreignRecheck {
			t.Errorf("the longest wait is %v", last)
		}
		n.wrote(version("u", "1", `{}`))
		if wait := n.goes(); wait != goingRecheck {
			t.Errorf("after a success the wait is %v", wait)
		}
	})
}

// TestRenew has an object go with its owner, and another owner of the name come, whose object is no drift in any mode.
func TestRenew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		mode Mode
		// behind says that the cache still shows the object that went.
		behind bool
	}{
		"repair":         {Repair, false},
		"warn":           {Warn, false},
		"repair, behind": {Repair, true},
		"warn, behind":   {Warn, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := testutil.Namespace(t, cluster.Config(t), "renew")
			o := startOperator(t, operatorOptions{kinds: []Kind{configMaps}, name: t.Name()})
			object := configMap(namespace, "a")
			set := Set{Key: "renew/" + namespace + "/a", Objects: []client.Object{object}, Mode: test.mode}
			o.declareSet(set)
			o.settled(set.Key, 0)
			ref, from := o.ref(object), o.now(set.Key)
			shown := func() {}
			if test.behind {
				shown = o.blind()
			}
			before := o.get(ref).GetUID()
			o.hold(set.Key, func() {
				o.remove(ref)
				if !test.behind {
					testutil.Eventually(t, soon, "the cache shows the end", func() (bool, string) { return o.engine.caches[ref.GroupVersionKind].get(ref.NamespacedName) == nil, "" })
				}
				o.engine.Renew(set.Key)
			})
			o.settled(set.Key, from)
			made := o.get(ref)
			shown()
			testutil.Eventually(t, soon, "the cache shows the new one", func() (bool, string) {
				cached := o.engine.caches[ref.GroupVersionKind].get(ref.NamespacedName)
				return cached != nil && cached.UID == made.GetUID(), ""
			})
			again := o.now(set.Key)
			o.kick(set.Key)
			o.settled(set.Key, again)
			for _, r := range o.runs(set.Key, from) {
				if len(r.Drifts)+len(r.Drifted) > 0 || r.err != nil {
					t.Errorf("run is %v", r)
				}
			}
			if done := o.done(ref); len(done) != 2 || made.GetUID() == before {
				t.Errorf("writes were %+v, want two creations", done)
			}
		})
	}
}

// blind breaks the watches and holds the next ones until it is over.
func (o *operator) blind() (over func()) {
	held := make(chan struct{})
	o.faults.Inject(len(o.engine.caches), func(r testutil.Request) bool { return r.Watch }, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		select {
		case <-held:
		case <-req.Context().Done():
		}
		return next.RoundTrip(req)
	})
	o.faults.CutWatches()
	testutil.Eventually(o.tb, soon, "the watches are down", func() (bool, string) { return o.faults.Left() == 0, "" })
	return func() { close(held) }
}
