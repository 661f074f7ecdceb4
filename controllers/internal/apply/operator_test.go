// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
	"github.com/fairlead/fairlead/test/controlplane"
)

const (
	// soon is how long a test waits for what should take milliseconds; the machine may be busy.
	soon = 30 * time.Second
	// editor is the field manager of foreign changes.
	editor = "kubectl-edit"
)

// cluster is shared by all tests of the package; each has namespaces of its own. Services get addresses of
// both families, so that a family can be added.
var cluster = testutil.Cluster{Options: controlplane.Options{
	ControllerManager: true,
	APIServerArgs:     []string{"--service-cluster-ip-range=10.96.0.0/14,fd00:96::/108"},
}}

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// run is what one Apply came to.
type run struct {
	Result
	err error
	// declaration counts up with each declared set.
	declaration int
}

func (r run) String() string { return fmt.Sprintf("%d: %+v, %v", r.declaration, r.Result, r.err) }

// operator drives an engine as a kind's controller does: events in, Apply, results out. Nothing but events
// and what Apply itself asks for makes it look again.
type operator struct {
	tb      testing.TB
	engine  *Engine
	foreign dynamic.Interface
	// requests are what the engine asks for, served what reaches the API server past the faults.
	requests, served *testutil.Requests
	faults           *testutil.Faults
	stop             func()

	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	sets  map[string]*declared
	refs  map[Ref]string
	// events counts the events of an object that the engine let through.
	events map[Ref]int
}

// declared is a set and the history of its runs.
type declared struct {
	set  Set
	runs []run
	// held keeps Apply from running, so that a test can change several things at one moment.
	held, busy  bool
	declaration int
}

// operatorOptions say how to run an operator. The zero value has no kinds.
type operatorOptions struct {
	kinds []Kind
	// config is that of the shared cluster if nil.
	config *rest.Config
	// wrap is put between the client and the API server, closest to the API server.
	wrap func(*rest.Config)
	// timeout is that of a request.
	timeout time.Duration
	// name tells the goroutines of this operator from others.
	name string
}

func startOperator(tb testing.TB, opts operatorOptions) *operator {
	tb.Helper()
	if opts.config == nil {
		opts.config = cluster.Config(tb)
	}
	o := &operator{
		tb: tb, foreign: dynamic.NewForConfigOrDie(opts.config),
		requests: &testutil.Requests{}, served: &testutil.Requests{}, faults: &testutil.Faults{},
		sets: map[string]*declared{}, refs: map[Ref]string{}, events: map[Ref]int{},
	}
	config := rest.CopyConfig(opts.config)
	if opts.wrap != nil {
		opts.wrap(config)
	}
	config.Wrap(o.served.Wrap)
	config.Wrap(o.faults.Wrap)
	config.Wrap(o.requests.Wrap)
	var err error
	if o.engine, err = New(Config{Client: dynamic.NewForConfigOrDie(config), Scheme: scheme.Scheme, Kinds: opts.kinds, RequestTimeout: opts.timeout}); err != nil {
		tb.Fatal(err)
	}
	o.start(opts)
	return o
}

func (o *operator) start(opts operatorOptions) {
	yes := true
	c, err := controller.NewUnmanaged("operator", controller.Options{
		Reconciler: o, SkipNameValidation: &yes, MaxConcurrentReconciles: 8, Logger: logr.Discard(),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, 500*time.Millisecond),
	})
	if err != nil {
		o.tb.Fatal(err)
	}
	sources := []source.Source{source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.queue = queue
		return nil
	})}
	for _, kind := range opts.kinds {
		sources = append(sources, o.engine.Source(kind.GVK, o.request(kind)))
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			o.tb.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(o.tb.Context()))
	var running sync.WaitGroup
	o.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	o.tb.Cleanup(o.stop)
	testutil.Track(ctx, opts.name, func(ctx context.Context) {
		running.Go(func() { _ = o.engine.Start(ctx) })
		if err := o.engine.WaitForSync(ctx); err != nil {
			o.tb.Fatal(err)
		}
		running.Go(func() {
			if err := c.Start(ctx); err != nil && ctx.Err() == nil {
				o.tb.Error(err)
			}
		})
	})
	testutil.Eventually(o.tb, soon, "the controller starts", func() (bool, string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.queue != nil, ""
	})
}

// request finds the set of an object by its name, as a controller that knows what it renders does.
func (o *operator) request(kind Kind) func(*Object) (reconcile.Request, bool) {
	return func(obj *Object) (reconcile.Request, bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events[kind.ref(obj)]++
		key, ok := o.refs[kind.ref(obj)]
		if !ok && obj.set != "" {
			_, ok = o.sets[obj.set]
			key = obj.set
		}
		return requestFor(key), ok
	}
}

func requestFor(key string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: key}}
}

// Reconcile implements reconcile.Reconciler.
func (o *operator) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	o.mu.Lock()
	d := o.sets[request.Name]
	set, held, declaration := d.set, d.held, d.declaration
	d.busy = !held
	o.mu.Unlock()
	if held {
		return ctrl.Result{}, nil
	}
	result, err := o.engine.Apply(ctx, set)
	o.mu.Lock()
	defer o.mu.Unlock()
	d.runs, d.busy = append(d.runs, run{Result: result, err: err, declaration: declaration}), false
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: result.RequeueAfter}, nil
}

// declare makes the objects the complete desired set of a key.
func (o *operator) declare(key string, objects ...client.Object) {
	o.declareSet(Set{Key: key, Objects: objects})
}

func (o *operator) declareSet(set Set) {
	o.tb.Helper()
	o.mu.Lock()
	if o.sets[set.Key] == nil {
		o.sets[set.Key] = &declared{}
	}
	// Copies: a test may change its objects while a run that nobody waits for reads the set.
	set.Objects = slices.Clone(set.Objects)
	for i, object := range set.Objects {
		set.Objects[i] = object.DeepCopyObject().(client.Object)
	}
	o.sets[set.Key].set = set
	o.sets[set.Key].declaration++
	for _, object := range set.Objects {
		want, err := o.engine.render(set.Key, object)
		if err != nil {
			o.mu.Unlock()
			o.tb.Fatal(err)
		}
		o.refs[want.ref] = set.Key
	}
	o.mu.Unlock()
	o.kick(set.Key)
}

func (o *operator) kick(key string) { o.queue.Add(requestFor(key)) }

// hold keeps a set from being applied while the function runs, and has it applied after.
func (o *operator) hold(key string, change func()) {
	o.mu.Lock()
	o.sets[key].held = true
	o.mu.Unlock()
	testutil.Eventually(o.tb, soon, key+" is held", func() (bool, string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return !o.sets[key].busy, ""
	})
	change()
	o.mu.Lock()
	o.sets[key].held = false
	o.mu.Unlock()
	o.kick(key)
}

// now is a moment in the history of a set, for await.
func (o *operator) now(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sets[key] == nil {
		return 0
	}
	return len(o.sets[key].runs)
}

func (o *operator) runs(key string, from int) []run {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sets[key].runs[from:])
}

// await waits for a run after a moment that is as wanted.
func (o *operator) await(key string, from int, what string, ok func(run) bool) run {
	o.tb.Helper()
	var found run
	testutil.Eventually(o.tb, soon, key+": "+what, func() (bool, string) {
		runs := o.runs(key, from)
		i := slices.IndexFunc(runs, ok)
		if i >= 0 {
			found = runs[i]
		}
		return i >= 0, fmt.Sprintf("%d runs, the last %v", len(runs), runs[max(0, len(runs)-3):])
	})
	return found
}

// settled waits until a run of what was declared last has everything in force.
func (o *operator) settled(key string, from int) run {
	o.tb.Helper()
	o.mu.Lock()
	declaration := o.sets[key].declaration
	o.mu.Unlock()
	return o.await(key, from, "everything in force", func(r run) bool {
		return r.err == nil && r.Done() && r.declaration == declaration
	})
}

// drift waits for a run that tells of a drift.
func (o *operator) drift(key string, from int) Drift {
	o.tb.Helper()
	return o.await(key, from, "a drift", func(r run) bool { return len(r.Drifts) > 0 }).Drifts[0]
}

// applied declares a set and waits until it is in force.
func (o *operator) applied(key string, objects ...client.Object) {
	o.tb.Helper()
	from := o.now(key)
	o.declare(key, objects...)
	o.settled(key, from)
}

func (o *operator) ref(object client.Object) Ref {
	o.tb.Helper()
	want, err := o.engine.render("", object)
	if err != nil {
		o.tb.Fatal(err)
	}
	return want.ref
}

func (o *operator) kind(ref Ref) Kind { return o.engine.caches[ref.GroupVersionKind].Kind }
