// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/test/controlplane"
)

const (
	// envIdle shortens the idle minute, like 5s, while one works on the test.
	envIdle = "FAIRLEAD_TEST_IDLE"
	// quiet is how long the API server may not be written to for the cluster to be at rest.
	quiet = 5 * time.Second
	sets  = 50
)

func idle(t *testing.T) time.Duration {
	text := os.Getenv(envIdle)
	if text == "" {
		return time.Minute
	}
	window, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return window
}

// plane is a control plane of one test's own: it counts all writes, or kills the API server.
type plane struct {
	t      *testing.T
	plane  *controlplane.ControlPlane
	client kubernetes.Interface
}

func startPlane(t *testing.T) *plane {
	t.Helper()
	cp, err := controlplane.Start(t.Context(), cluster.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &plane{t: t, plane: cp, client: testutil.Clientset(t, cp.Config())}
}

func (p *plane) start() *operator {
	p.t.Helper()
	o := startOperator(p.t, operatorOptions{kinds: restKinds, config: p.plane.Config(), name: p.t.Name()})
	return o
}

var restKinds = []Kind{
	limitRanges, quotas, selective(configMaps)[0], services, serviceAccounts, selective(deployments)[0], roles, roleBindings,
	clusterRoles, hpas, pdbs, networkPolicies,
}

// declare declares sets of several kinds; label is put on each object.
func (p *plane) declare(o *operator, namespaces []string, label string) {
	p.t.Helper()
	for i := range sets {
		objects := restObjects(i, namespaces[i%len(namespaces)])
		for _, object := range objects {
			object.GetLabels()["round"] = label
		}
		o.declare(restKey(i), objects...)
	}
}

func (p *plane) settled(o *operator) {
	p.t.Helper()
	for i := range sets {
		o.settled(restKey(i), 0)
	}
}

func restKey(i int) string { return fmt.Sprintf("rest/s%d", i) }

func restObjects(i int, namespace string) []client.Object {
	name := fmt.Sprintf("s%d", i)
	switch i % 5 {
	case 0:
		return []client.Object{limitRange(namespace, name), resourceQuota(namespace, name)}
	case 1:
		return []client.Object{deployment(namespace, name), hpa(namespace, name), pdb(namespace, name)}
	case 2:
		return []client.Object{service(namespace, name), networkPolicy(namespace, name)}
	case 3:
		return []client.Object{serviceAccount(namespace, name), role(namespace, name), roleBinding(namespace, name)}
	default:
		return []client.Object{configMap(namespace, name), clusterRole("", name)}
	}
}

// bustle has others write what is theirs to write, so that rest is not the rest of the grave.
func (p *plane) bustle(o *operator, namespaces []string) {
	p.t.Helper()
	for i := range sets {
		for _, object := range restObjects(i, namespaces[i%len(namespaces)]) {
			from, ref := o.now(restKey(i)), o.ref(object)
			o.patch(ref, `[{"op":"add","path":"/metadata/labels/theirs","value":"x"}]`)
			o.await(restKey(i), from, "a look", func(run) bool { return true })
		}
	}
	d := o.ref(deployment(namespaces[1], "s1"))
	from := o.now(restKey(1))
	o.patch(d, `[{"op":"add","path":"/spec/template/metadata/annotations","value":{"kubectl.kubernetes.io/restartedAt":"x"}}]`)
	o.patchBy("scaler", d, `[{"op":"replace","path":"/spec/replicas","value":3}]`, "scale")
	o.settled(restKey(1), from)
}

// writes counts what the API server was asked to write of our kinds, by anybody and by its own count. Of
// other kinds (events, trust bundles) and in the status Kubernetes' controllers write now and then; that we
// never do is checked at our client.
func (p *plane) writes() testutil.Writes {
	p.t.Helper()
	writes, err := testutil.ServerWrites(p.t.Context(), p.client)
	if err != nil {
		p.t.Fatal(err)
	}
	maps.DeleteFunc(writes, func(key string, _ float64) bool {
		return !slices.ContainsFunc(restKinds, func(kind Kind) bool { return strings.HasSuffix(key, " "+kind.Resource+"/") })
	})
	return writes
}

// rest waits until nobody has written for a while.
func (p *plane) rest() testutil.Writes {
	p.t.Helper()
	last, since := p.writes(), time.Now()
	testutil.Eventually(p.t, 4*soon, "the cluster is at rest", func() (bool, string) {
		now := p.writes()
		wrote := now.Since(last)
		if len(wrote) > 0 {
			last, since = now, time.Now()
		}
		return time.Since(since) >= quiet, wrote.String()
	})
	return last
}

func (o *operator) writesAndDryRuns() []testutil.Request {
	return o.requests.Select(func(r testutil.Request) bool { return r.Method != http.MethodGet })
}

// TestAtRest counts the writes of an idle minute and of a restart: there is none. Then it kills the API
// server in the middle of a change.
func TestAtRest(t *testing.T) {
	t.Parallel()
	p := startPlane(t)
	var namespaces []string
	for range 5 {
		namespaces = append(namespaces, testutil.Namespace(t, p.plane.Config(), "rest"))
	}
	o := p.start()
	p.declare(o, namespaces, "first")
	p.settled(o)
	p.bustle(o, namespaces)

	before := p.rest()
	o.requests.Forget()
	window := time.NewTimer(idle(t))
	<-window.C
	if wrote := p.writes().Since(before); len(wrote) > 0 {
		t.Errorf("writes in %v at rest: %s", idle(t), wrote)
	}
	if asked := o.writesAndDryRuns(); len(asked) > 0 {
		t.Errorf("ours at rest: %+v", asked)
	}
	o.stop()

	before = p.rest()
	o = p.start()
	p.declare(o, namespaces, "first")
	p.settled(o)
	after := p.rest()
	if wrote := after.Since(before); len(wrote) > 0 {
		t.Errorf("writes over a restart of the operator: %s", wrote)
	}
	if asked := o.writesAndDryRuns(); len(asked) > 0 {
		t.Errorf("ours over a restart: %+v", asked)
	}
	p.kill(o, namespaces)
}

// kill has the API server die while all sets change. Everything converges, and no write is done twice.
func (p *plane) kill(o *operator, namespaces []string) {
	p.t.Helper()
	o.requests.Forget()
	var writes atomic.Int32
	middle := func(r testutil.Request) bool { return r.Write() && writes.Add(1) == sets }
	restarted := make(chan error, 1)
	o.faults.Inject(1, middle, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if err := p.plane.Kill(controlplane.APIServer); err != nil {
			restarted <- err
		} else {
			go func() { restarted <- p.restart() }()
		}
		return next.RoundTrip(req)
	})
	p.declare(o, namespaces, "second")
	if err := <-restarted; err != nil {
		p.t.Fatal(err)
	}
	p.settled(o)
	for i := range sets {
		for _, object := range restObjects(i, namespaces[i%len(namespaces)]) {
			ref := o.ref(object)
			if round := o.get(ref).GetLabels()["round"]; round != "second" {
				p.t.Errorf("%s is of the %s round", ref, round)
			}
			patches := slices.DeleteFunc(o.requests.To(o.path(ref)), func(r testutil.Request) bool { return !r.Write() || !r.Done() })
			if len(patches) > 1 {
				p.t.Errorf("%s was written twice: %+v", ref, patches)
			}
		}
	}
	ref := o.ref(role(namespaces[3], "s3"))
	from := o.now(restKey(3))
	o.patch(ref, matrix[6].value.patch)
	o.drift(restKey(3), from)
}

// restart starts the API server again. Threads of the one that was killed may hold its port a moment longer.
func (p *plane) restart() (err error) {
	for range 3 {
		if err = p.plane.RestartAPIServer(p.t.Context()); err == nil {
			return nil
		}
	}
	return err
}

// TestEcho has the engine look at its objects only when there is something to see: not for the echo of its
// own writes, and not for the status.
func TestEcho(t *testing.T) {
	t.Parallel()
	namespace := testutil.Namespace(t, cluster.Config(t), "echo")
	o := startOperator(t, operatorOptions{kinds: []Kind{networkPolicies, services}, name: t.Name()})
	policy, svc := networkPolicy(namespace, "a"), service(namespace, "a")
	o.applied("echo/"+namespace+"/a", policy)
	o.applied("echo/"+namespace+"/b", svc)
	seen := func(ref Ref) int {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.events[ref]
	}
	ref, edits := o.ref(policy), 10
	edit := func(ref Ref, key, patch string) {
		t.Helper()
		from := o.now(key)
		o.patch(ref, patch)
		o.drift(key, from)
	}
	edit(ref, "echo/"+namespace+"/a", matrix[11].key.patch)
	before := seen(ref)
	if before != 1 {
		t.Errorf("%d events came through for a creation and an edit", before)
	}
	for i := range edits {
		edit(ref, "echo/"+namespace+"/a", fmt.Sprintf(`[{"op":"add","path":"/spec/podSelector/matchLabels/x%d","value":"y"}]`, i))
	}
	if events := seen(ref) - before; events != edits {
		t.Errorf("%d events came through for %d edits", events, edits)
	}
	if done := o.done(ref); len(done) != edits+2 {
		t.Errorf("%d writes for %d edits", len(done), edits)
	}

	ref = o.ref(svc)
	before = seen(ref)
	for i := range 3 {
		status := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Seen","status":"True","reason":"R%d","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, i)
		if _, err := o.resource(ref).Patch(t.Context(), ref.Name, types.MergePatchType, status, metav1.PatchOptions{FieldManager: editor}, "status"); err != nil {
			t.Fatal(err)
		}
	}
	edit(ref, "echo/"+namespace+"/b", matrix[3].value.patch)
	if before != 0 {
		t.Errorf("%d events came through for a creation", before)
	}
	if events := seen(ref) - before; events != 1 {
		t.Errorf("%d events came through for an edit and 3 writes of the status", events)
	}
}
