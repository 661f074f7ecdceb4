// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Mode says what becomes of a foreign change.
type Mode int

const (
	// Repair undoes it.
	Repair Mode = iota
	// Warn reports it and leaves it.
	Warn
)

// Set is everything that should exist for one set key.
type Set struct {
	// Key names the set, as <short name of the kind>/<key>, like limits/team-a. It stands in a mark on every object.
	Key string
	// Objects is the complete desired set; what bears the key and is not in it is pruned.
	Objects []client.Object
	// Mode says what becomes of foreign changes.
	Mode Mode
	// Paused stops every write for the set.
	Paused bool
	// Partial says that there is more than Objects: nothing is pruned.
	Partial bool
	// Adopt takes over objects that others made, as if each of them allowed it.
	Adopt bool
}

// Conflict is an object that stands in the way and is not ours.
type Conflict struct{ Ref Ref }

// Contest is a field that somebody breaks again and again.
type Contest struct {
	Ref     Ref
	Field   string
	Manager string
}

// Refusal is an object that the API server refuses for good; what was in force before stays.
type Refusal struct {
	Ref Ref
	// Message is the API server's own.
	Message string
}

// Drift is a foreign change of one object.
type Drift struct {
	Ref     Ref
	Changes []Change
	// Repaired is false in mode Warn.
	Repaired bool
	// Latency runs from the event of the change to the API server's answer to the repair; 0 where there was no event.
	Latency time.Duration
}

// Result tells what Apply found and did.
type Result struct {
	// Desired is the number of objects that should exist, InForce how many of them are verified.
	Desired, InForce int
	// Writes is the number of write requests sent.
	Writes int
	// Drifts are the foreign changes that this Apply saw for the first time; Drifted is what is left as it was found.
	Drifts    []Drift
	Drifted   []Ref
	Conflicts []Conflict
	Contested []Contest
	Refused   []Refusal
	// Terminating are objects that somebody is deleting; they are made anew when they are gone.
	Terminating []Ref
	// Going are objects that are not made, and not among the Desired, because the API server says that their
	// namespace goes. They are tried again, for it may speak of an earlier namespace of the name.
	Going []Ref
	// Unserved are objects that wait for their kind: the API server does not serve it. They are made when it does.
	Unserved []Ref
	Paused   bool
	// RequeueAfter is when to look again though no event may come; 0 for never.
	RequeueAfter time.Duration
}

// Done reports whether everything desired is in force.
func (r *Result) Done() bool { return r.InForce == r.Desired && !r.Paused }

func (r *Result) requeue(after time.Duration) {
	if after > 0 && (r.RequeueAfter == 0 || after < r.RequeueAfter) {
		r.RequeueAfter = after
	}
}

// Recorder gets the figures of repairs.
type Recorder interface {
	// Repaired is called once per repaired object. latency is 0 where no event told of the change.
	Repaired(kind string, latency time.Duration)
}

// Config is what an Engine needs.
type Config struct {
	// Client sends all requests. Its rate limits are the engine's.
	Client dynamic.Interface
	// Scheme gives the kinds of typed objects.
	Scheme *runtime.Scheme
	// Kinds are all kinds the engine may write; each has one informer. What is no longer desired goes in the reverse order of
	// them: what calls others, like a webhook, is to come after these.
	Kinds []Kind
	// Recorder may be nil.
	Recorder Recorder
	// RequestTimeout bounds one request, waits that the API server asks for included; 0 means 15 seconds.
	RequestTimeout time.Duration
}

// Engine makes the cluster equal to desired sets. It is safe for concurrent use with distinct set keys.
type Engine struct {
	client   dynamic.Interface
	scheme   *runtime.Scheme
	recorder Recorder
	timeout  time.Duration
	caches   map[schema.GroupVersionKind]*kindCache

	mu      sync.RWMutex
	entries map[Ref]*entry
	bySet   map[string]map[Ref]struct{}
}

// New makes an Engine. It does nothing until Start runs its informers.
func New(cfg Config) (*Engine, error) {
	e := &Engine{
		client:   cfg.Client,
		scheme:   cfg.Scheme,
		recorder: cfg.Recorder,
		timeout:  cmp.Or(cfg.RequestTimeout, requestTimeout),
		caches:   map[schema.GroupVersionKind]*kindCache{},
		entries:  map[Ref]*entry{},
		bySet:    map[string]map[Ref]struct{}{},
	}
	for i, kind := range cfg.Kinds {
		cache, err := e.newKindCache(kind)
		if err != nil {
			return nil, err
		}
		cache.rank = i
		e.caches[kind.GVK] = cache
	}
	return e, nil
}

// Apply makes the cluster equal to the set. The error joins what is worth a retry; what is not worth one
// stands in the Result. One object that fails does not keep the others from being applied.
//
// The set of an owner that is gone has no Objects; applying it lets go of what is remembered, too.
func (e *Engine) Apply(ctx context.Context, set Set) (Result, error) {
	result := Result{Desired: len(set.Objects), Paused: set.Paused}
	if set.Paused {
		e.stopClocks(set.Key)
		return result, nil
	}
	var errs []error
	desired := make(map[Ref]struct{}, len(set.Objects))
	complete := true
	for _, object := range e.urgentFirst(set.Objects) {
		want, err := e.renderOnce(set.Key, object, desired)
		if err != nil {
			errs = append(errs, err)
			complete = false
			continue
		}
		job := job{engine: e, set: set, want: want, cache: e.caches[want.ref.GroupVersionKind],
			entry: e.entry(set.Key, want.ref), result: &result}
		if err := job.ensure(ctx); err != nil {
			errs = append(errs, fmt.Errorf("apply %s: %w", want.ref, err))
		}
	}
	// Where an object could not even be named, what is left over is not known either.
	if complete && !set.Partial {
		errs = append(errs, e.prune(ctx, set, desired, &result))
	}
	return result, errors.Join(errs...)
}

// urgentFirst puts first what an event has told to be other than expected: nobody waits for a look at the rest.
func (e *Engine) urgentFirst(objects []client.Object) []client.Object {
	var urgent, rest []client.Object
	for _, object := range objects {
		ref, err := e.ref(object)
		if known := e.known(ref); err == nil && known != nil && known.drifts() {
			urgent = append(urgent, object)
		} else {
			rest = append(rest, object)
		}
	}
	return append(urgent, rest...)
}

// renderOnce renders an object that is not among the desired yet.
func (e *Engine) renderOnce(set string, object client.Object, desired map[Ref]struct{}) (rendered, error) {
	want, err := e.render(set, object)
	if err != nil {
		return want, err
	}
	if _, twice := desired[want.ref]; twice {
		return want, fmt.Errorf("render %s: it is twice in the set %s", want.ref, set)
	}
	desired[want.ref] = struct{}{}
	return want, nil
}

// Renew tells that the owner of a set was replaced by another one of the same name. What is remembered of the set's
// objects went with the former owner, and the caches may still show it: the next Apply reads what is there.
func (e *Engine) Renew(set string) {
	for _, ref := range e.members(set) {
		if known := e.entry(set, ref); e.known(ref) == known {
			e.mu.Lock()
			e.entries[ref] = &entry{set: set, inDoubt: true}
			e.mu.Unlock()
		}
	}
}

// Live lists what the cache of a kind holds in a namespace, foreign objects included unless the kind is selective.
func (e *Engine) Live(gvk schema.GroupVersionKind, namespace string) []*Object {
	cache, ok := e.caches[gvk]
	if !ok {
		return nil
	}
	return cache.inNamespace(namespace)
}

// SetOf gives the key of the set that an object is made for: what it bears, or what is remembered of one whose mark
// somebody removed. It is empty for a stranger.
func (e *Engine) SetOf(gvk schema.GroupVersionKind, object *Object) string {
	if object.set != "" {
		return object.set
	}
	ref := Ref{GroupVersionKind: gvk, NamespacedName: types.NamespacedName{Namespace: object.Namespace, Name: object.Name}}
	if known := e.known(ref); known != nil {
		return known.set
	}
	return ""
}

// Members lists the objects of a set that exist or may come to exist: what the caches hold with its mark, and what is
// remembered of the last Apply.
func (e *Engine) Members(set string) []Ref { return e.members(set) }

// entry gives the memory of an object, made on first use. Where another set made the object, the memory
// is a blank one that nobody keeps: to this set the object is a stranger.
func (e *Engine) entry(set string, ref Ref) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.entries[ref]
	if ok && known.set != set && known.holds() {
		return &entry{set: set}
	}
	if !ok || known.set != set {
		known = &entry{set: set}
		e.entries[ref] = known
	}
	if e.bySet[set] == nil {
		e.bySet[set] = map[Ref]struct{}{}
	}
	e.bySet[set][ref] = struct{}{}
	return known
}

// stopClocks keeps the time that a set is paused out of the latencies of the repairs after it.
func (e *Engine) stopClocks(set string) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for ref := range e.bySet[set] {
		if known := e.entries[ref]; known != nil {
			known.stopClock()
		}
	}
}

func (e *Engine) known(ref Ref) *entry {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.entries[ref]
}

// remembered are the objects of a kind that sets want or wanted, whether they exist or not, with no more than name and set.
func (e *Engine) remembered(gvk schema.GroupVersionKind) []*Object {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var out []*Object
	for ref, known := range e.entries {
		if ref.GroupVersionKind == gvk {
			out = append(out, &Object{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}, set: known.set})
		}
	}
	return out
}

func (e *Engine) forget(set string, ref Ref) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.entries[ref]; known != nil && known.set == set {
		delete(e.entries, ref)
	}
	delete(e.bySet[set], ref)
	if len(e.bySet[set]) == 0 {
		delete(e.bySet, set)
	}
}

// members are the objects of a set: what the caches hold with its mark, and what we remember to have made.
func (e *Engine) members(set string) []Ref {
	found := map[Ref]struct{}{}
	e.mu.RLock()
	for ref := range e.bySet[set] {
		found[ref] = struct{}{}
	}
	e.mu.RUnlock()
	for gvk, cache := range e.caches {
		for _, obj := range cache.inSet(set) {
			found[Ref{GroupVersionKind: gvk, NamespacedName: types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}}] = struct{}{}
		}
	}
	refs := make([]Ref, 0, len(found))
	for ref := range found {
		refs = append(refs, ref)
	}
	return refs
}
