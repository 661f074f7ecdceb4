// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package history_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh/history"
	"github.com/fairlead/fairlead/controllers/mesh/rollout"
	"github.com/fairlead/fairlead/test/controlplane"
)

// soon is how long a test waits for what should take milliseconds; the machine may be busy.
const soon = 60 * time.Second

var (
	// The controller manager collects what a mesh leaves behind.
	cluster = testutil.Cluster{Options: controlplane.Options{ControllerManager: true}}
	install sync.Once
	names   atomic.Int64
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(cluster.Run(m))
}

// world is a mesh with its namespace, and an operator whose requests are counted and can fail.
type world struct {
	testing.TB
	mesh     *v1alpha1.Mesh
	admin    client.Client
	requests *testutil.Requests
	faults   *testutil.Faults
	client   client.Client
	store    *history.Store
	now      time.Time
}

func scheme() *runtime.Scheme {
	out := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(out))
	utilruntime.Must(v1alpha1.AddToScheme(out))
	return out
}

func newClient(t testing.TB, wrap ...func(http.RoundTripper) http.RoundTripper) client.Client {
	t.Helper()
	config := cluster.Config(t)
	config.QPS = -1
	for _, w := range wrap {
		config.Wrap(w)
	}
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newWorld(t *testing.T) *world {
	t.Helper()
	install.Do(func() {
		crds := envtest.CRDInstallOptions{Paths: []string{"../../../config/crd/bases"}, ErrorIfPathMissing: true}
		if _, err := envtest.InstallCRDs(cluster.Config(t), crds); err != nil {
			t.Fatal(err)
		}
	})
	w := &world{
		TB: t, requests: &testutil.Requests{}, faults: &testutil.Faults{}, admin: newClient(t),
		now: time.Date(2026, 11, 1, 12, 0, 0, 123456789, time.UTC),
	}
	w.client = newClient(t, w.faults.Wrap, w.requests.Wrap)
	name := fmt.Sprintf("m-x%d", names.Add(1))
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	w.mesh = w.newMesh(name)
	w.restart()
	return w
}

func (w *world) newMesh(name string) *v1alpha1.Mesh {
	w.Helper()
	mesh := &v1alpha1.Mesh{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.MeshSpec{Version: "1.31", Namespace: v1alpha1.NamespaceName(name)},
	}
	w.create(mesh)
	return mesh
}

// restart is an operator that knows nothing.
func (w *world) restart() {
	w.store = history.New(w.client, w.client)
	w.store.Now = func() time.Time { return w.now }
	w.requests.Forget()
}

func (w *world) create(object client.Object) {
	w.Helper()
	if err := w.admin.Create(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

// asked are the requests since the last look, as "POST configmaps".
func (w *world) asked() string {
	var out []string
	for _, r := range w.requests.Select(func(testutil.Request) bool { return true }) {
		if _, rest, namespaced := strings.Cut(r.Path, "/namespaces/"+w.mesh.Name+"/"); namespaced {
			kind, _, _ := strings.Cut(rest, "/")
			out = append(out, r.Method+" "+kind)
		}
	}
	w.requests.Forget()
	return strings.Join(out, ", ")
}

func (w *world) load() history.Record {
	w.Helper()
	record, err := w.store.Load(w.Context(), w.mesh)
	if err != nil {
		w.Fatal(err)
	}
	return record
}

func (w *world) save(p rollout.Progress) history.Record {
	w.Helper()
	record, err := w.store.Save(w.Context(), w.mesh, p, all)
	if err != nil {
		w.Fatal(err)
	}
	return record
}

// numbers are the entries as "3:1.31.0/b! 1:1.30.4/a", with a mark at those that failed.
func numbers(r history.Record) string {
	var out []string
	for _, e := range r.Entries {
		text := fmt.Sprintf("%d:%s/%s", e.Number, e.Version, letter[e.Source])
		if e.Failed {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func (w *world) expect(r history.Record, want string) {
	w.Helper()
	if got := numbers(r); got != want {
		w.Errorf("the history is %q, want %q", got, want)
	}
}

func (w *world) expectAsked(want string) {
	w.Helper()
	if got := w.asked(); got != want {
		w.Errorf("the API server was asked %q, want %q", got, want)
	}
}

// configMap is the only ConfigMap of the mesh, as it is now.
func (w *world) configMap() *corev1.ConfigMap {
	w.Helper()
	var list corev1.ConfigMapList
	if err := w.admin.List(w.Context(), &list, client.InNamespace(w.mesh.Name), client.MatchingLabels{history.Label: w.mesh.Name}); err != nil {
		w.Fatal(err)
	}
	if len(list.Items) != 1 {
		w.Fatalf("there are %d ConfigMaps", len(list.Items))
	}
	return &list.Items[0]
}

// revisions are all ControllerRevisions, by name.
func (w *world) revisions() []appsv1.ControllerRevision {
	w.Helper()
	var list appsv1.ControllerRevisionList
	if err := w.admin.List(w.Context(), &list, client.InNamespace(w.mesh.Name)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// revision is the ControllerRevision of a number.
func (w *world) revision(number int64) *appsv1.ControllerRevision {
	w.Helper()
	for _, r := range w.revisions() {
		if r.Revision == number && strings.HasSuffix(r.Name, fmt.Sprint("-", number)) {
			return &r
		}
	}
	w.Fatalf("there is no ControllerRevision %d", number)
	return nil
}

func (w *world) delete(object client.Object) {
	w.Helper()
	if err := w.admin.Delete(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

func (w *world) update(object client.Object) {
	w.Helper()
	if err := w.admin.Update(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

// settings of three kinds, whose sources have letters in the tests.
var (
	bySource, letter = func() (map[string]history.Settings, map[string]string) {
		settings, letters := map[string]history.Settings{}, map[string]string{}
		for _, l := range []string{"a", "b", "c"} {
			s := history.Settings{Profile: v1alpha1.ProfileDefault, Values: &v1alpha1.Values{Raw: fmt.Appendf(nil, `{"pilot":{"env":{"NAME":%q}}}`, l)}}
			settings[s.Source()], letters[s.Source()] = s, l
		}
		return settings, letters
	}()
)

func source(l string) string {
	for s, have := range letter {
		if have == l {
			return s
		}
	}
	panic(l)
}

func all(source string) (history.Settings, bool) {
	s, ok := bySource[source]
	return s, ok
}

func release(version, l string) rollout.Release {
	return rollout.Release{Revision: "m-" + strings.ReplaceAll(version, ".", "-"), Version: version, Source: source(l)}
}

// installing is a first rollout.
func (w *world) installing(target rollout.Release) rollout.Progress {
	return rollout.Progress{Phase: rollout.Installing, Target: target, Round: 1, Asked: "1.31", StartedAt: w.now, ProgressedAt: w.now.Add(time.Nanosecond)}
}

// idle is a rollout that has arrived.
func (w *world) idle(target rollout.Release) rollout.Progress {
	return rollout.Progress{Phase: rollout.Idle, Target: target, Good: target, Round: 1, Asked: "1.31", GoodRound: 1, GoodAsked: "1.31"}
}

func match(method, kind string) func(testutil.Request) bool {
	return func(r testutil.Request) bool { return r.Method == method && strings.Contains(r.Path, "/"+kind) }
}
