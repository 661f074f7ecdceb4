// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package mesh_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/internal/apply"
	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/controllers/mesh"
	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
	"github.com/fairlead/fairlead/test/controlplane"
)

const (
	// soon is how long a test waits for what should take milliseconds; the machine may be busy.
	soon = 60 * time.Second
	// editor is the field manager of foreign changes.
	editor = "kubectl-edit"
)

// today is a day on which some versions of the catalogue live and others do not.
var today = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

var (
	cluster = testutil.Cluster{Options: controlplane.Options{
		ControllerManager: true,
		// Webhooks are reached by their endpoints: nothing routes the addresses of Services here.
		APIServerArgs: []string{"--enable-aggregator-routing=true"},
	}}
	fleet = &operator{}
	// planes stands for all istiods.
	planes = &istiods{}
	names  atomic.Int64
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(cluster.Run(m))
}

func scheme() *runtime.Scheme {
	out := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(out))
	utilruntime.Must(v1alpha1.AddToScheme(out))
	return out
}

// operator is the controllers of meshes in this process. Tests share one; those that restart it are not parallel to others.
type operator struct {
	once     sync.Once
	client   client.WithWatch
	requests *testutil.Requests
	stop     func() error
	// versions are those of the operator that was started last.
	versions *catalogue.Catalogue
}

// running gives the operator, started.
func running(t *testing.T) *operator {
	t.Helper()
	fleet.once.Do(func() {
		config := cluster.Config(t)
		crds := envtest.CRDInstallOptions{Paths: []string{"../../config/crd/bases"}, ErrorIfPathMissing: true}
		if _, err := envtest.InstallCRDs(config, crds); err != nil {
			t.Fatal(err)
		}
		var err error
		if fleet.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme()}); err != nil {
			t.Fatal(err)
		}
		fleet.start(t)
	})
	if fleet.stop == nil {
		t.Fatal("the operator did not start")
	}
	return fleet
}

// start runs a new operator, which knows nothing.
func (o *operator) start(t *testing.T) {
	t.Helper()
	o.requests = &testutil.Requests{}
	cfg := cluster.Config(t)
	cfg.Wrap(o.requests.Wrap)
	cfg.QPS, cfg.UserAgent = -1, v1alpha1.ManagedBy
	scheme := scheme()
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		// Restarts run controllers of the same name one after the other in this process.
		Controller: config.Controller{SkipNameValidation: new(true), UsePriorityQueue: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	requests, err := dynamic.NewForConfigAndClient(cfg, mgr.GetHTTPClient())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := apply.New(apply.Config{Client: requests, Scheme: scheme, Kinds: mesh.Kinds()})
	if err != nil {
		t.Fatal(err)
	}
	if err := mgr.Add(engine); err != nil {
		t.Fatal(err)
	}
	if o.versions, err = catalogue.Embedded(); err != nil {
		t.Fatal(err)
	}
	err = mesh.SetupWithManager(mgr, mesh.Options{Engine: engine, Catalogue: o.versions, Workers: 4, Now: func() time.Time { return today }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	o.stop = func() error {
		cancel()
		return <-done
	}
}

// unique is a name that no other test has.
func unique(prefix string) string { return fmt.Sprintf("%s-x%d", prefix, names.Add(1)) }

// mesh makes a mesh in a namespace of its own, which goes with the test.
func (o *operator) mesh(t *testing.T, prefix, version string, edit ...func(*v1alpha1.Mesh)) *v1alpha1.Mesh {
	t.Helper()
	name := unique(prefix)
	m := &v1alpha1.Mesh{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.MeshSpec{
			Version: v1alpha1.IstioVersion(version), Namespace: v1alpha1.NamespaceName(name), EndOfLife: v1alpha1.EndOfLifeAllow,
		},
	}
	for _, e := range edit {
		e(m)
	}
	if err := o.client.Create(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.uninstall(t, m) })
	return m
}

// uninstall deletes a mesh and waits until it is gone.
func (o *operator) uninstall(t *testing.T, m *v1alpha1.Mesh) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := client.IgnoreNotFound(o.client.Delete(ctx, m)); err != nil {
		t.Error(err)
	}
	deadline := time.Now().Add(soon)
	for {
		err := o.client.Get(ctx, client.ObjectKeyFromObject(m), &v1alpha1.Mesh{})
		if apierrors.IsNotFound(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("mesh %s does not go", m.Name)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// change edits an object as often as it takes.
func change[T client.Object](t *testing.T, o *operator, object T, edit func(T)) {
	t.Helper()
	testutil.Eventually(t, soon, "edit "+object.GetName(), func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		edit(object)
		err := o.client.Update(t.Context(), object, client.FieldOwner(editor))
		if err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		return err == nil, fmt.Sprint(err)
	})
}

// condition gives a condition as status/reason, empty where it does not apply.
func condition(m *v1alpha1.Mesh, name string) string {
	c := meta.FindStatusCondition(m.Status.Conditions, name)
	if c == nil {
		return ""
	}
	return string(c.Status) + "/" + c.Reason
}

func message(m *v1alpha1.Mesh, name string) string {
	c := meta.FindStatusCondition(m.Status.Conditions, name)
	if c == nil {
		return ""
	}
	return c.Message
}

// await waits until a status speaks of its spec and is as wanted, and gives it.
func (o *operator) await(t *testing.T, m *v1alpha1.Mesh, what string, ok func(*v1alpha1.Mesh) bool) *v1alpha1.Mesh {
	t.Helper()
	return o.awaitWithin(t, soon, m, what, ok)
}

// awaitLong is for what waits for the shortest deadline that there is.
func (o *operator) awaitLong(t *testing.T, m *v1alpha1.Mesh, what string, ok func(*v1alpha1.Mesh) bool) *v1alpha1.Mesh {
	t.Helper()
	return o.awaitWithin(t, 3*soon, m, what, ok)
}

func (o *operator) awaitWithin(t *testing.T, within time.Duration, m *v1alpha1.Mesh, what string, ok func(*v1alpha1.Mesh) bool) *v1alpha1.Mesh {
	t.Helper()
	found := &v1alpha1.Mesh{}
	testutil.Eventually(t, within, m.Name+": "+what, func() (bool, string) {
		if err := o.client.Get(t.Context(), client.ObjectKeyFromObject(m), found); err != nil {
			t.Fatal(err)
		}
		return found.Status.ObservedGeneration == found.Generation && ok(found), fmt.Sprintf("generation %d, status %+v", found.Generation, found.Status)
	})
	return found
}

// awaitReady waits until Ready is as wanted, like False/IstiodUnavailable.
func (o *operator) awaitReady(t *testing.T, m *v1alpha1.Mesh, want string) *v1alpha1.Mesh {
	t.Helper()
	return o.await(t, m, "Ready is "+want, func(m *v1alpha1.Mesh) bool { return condition(m, v1alpha1.ConditionReady) == want })
}

// applied waits until all objects are in force: only istiod is missing then.
func (o *operator) applied(t *testing.T, m *v1alpha1.Mesh) *v1alpha1.Mesh {
	t.Helper()
	return o.await(t, m, "its objects are in force", func(m *v1alpha1.Mesh) bool {
		ready := condition(m, v1alpha1.ConditionReady)
		return ready == "False/IstiodUnavailable" || strings.HasPrefix(ready, "True/")
	})
}

// run plays the kubelet and istiod for the revisions that a mesh has: their pods are ready, and their webhooks serve.
func (o *operator) run(t *testing.T, m *v1alpha1.Mesh) {
	t.Helper()
	found := o.await(t, m, "it has a revision", func(m *v1alpha1.Mesh) bool { return len(m.Status.Revisions) > 0 })
	for _, r := range found.Status.Revisions {
		testutil.Eventually(t, soon, "istiod of "+r.Name+" has pods", func() (bool, string) {
			var pods corev1.PodList
			if err := o.client.List(t.Context(), &pods, client.InNamespace(m.Spec.Namespace), client.MatchingLabels{"istio.io/rev": r.Name}); err != nil {
				t.Fatal(err)
			}
			return len(pods.Items) > 0, "there is none"
		})
		planes.up(t, o, m, r.Name, r.Version)
	}
	o.bringUp(t.Context(), string(m.Spec.Namespace), nil)
}
