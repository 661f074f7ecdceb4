// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pace spaces what is told of an owner: at most one status and one event a second.
package pace

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// Interval is the least time between two status writes, or two events, of one owner.
	Interval = time.Second
	// Gather brings what happens to an owner at the same moment into one status.
	Gather = 20 * time.Millisecond
	// cacheLag is how long to wait for the cache to show a status that was written.
	cacheLag = 100 * time.Millisecond
	// WarmUp is how long after the start a status from before may stand while there is still something to learn.
	WarmUp = 30 * time.Second
)

// Voice is what was said last of one owner.
type Voice struct {
	UID types.UID
	// At is when a status or an event was last written, Version that of the last status written.
	At      time.Time
	Version string
	// Warm is true once all was known of the owner, or its status needed another word before that.
	Warm bool
}

// Voices are what was said last of each owner. The zero value is ready for use, and safe for concurrent use.
type Voices struct {
	mu  sync.Mutex
	all map[types.NamespacedName]Voice
}

// Wait is how long nothing may be said of the owner: it was just spoken of, or the cache does not show yet what
// was said. Where another owner of the name was spoken of last, replaced is its UID.
func (v *Voices) Wait(owner client.Object) (wait time.Duration, replaced types.UID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := client.ObjectKeyFromObject(owner)
	last := v.all[key]
	if last.UID != owner.GetUID() {
		v.set(key, Voice{UID: owner.GetUID()})
		return 0, last.UID
	}
	wait = Interval - time.Since(last.At)
	if order, err := resourceversion.CompareResourceVersion(owner.GetResourceVersion(), last.Version); err == nil && order < 0 {
		wait = max(wait, cacheLag)
	}
	return wait, ""
}

// Warm is false while, shortly after the start, not all is known and a status from before may stand for this
// spec: another one would only flap.
func (v *Voices) Warm(owner client.Object, known, stands bool, began time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := client.ObjectKeyFromObject(owner)
	last := v.all[key]
	if !last.Warm && !known && stands && time.Since(began) < WarmUp {
		return false
	}
	last.Warm = true
	v.set(key, last)
	return true
}

// Spoke notes that a status or an event of the owner was written.
func (v *Voices) Spoke(owner client.Object) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set(client.ObjectKeyFromObject(owner), Voice{UID: owner.GetUID(), At: time.Now(), Version: owner.GetResourceVersion(), Warm: true})
}

// Last gives what was said last of an owner.
func (v *Voices) Last(key types.NamespacedName) Voice {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.all[key]
}

// Set puts something in the place of what was said last.
func (v *Voices) Set(key types.NamespacedName, voice Voice) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set(key, voice)
}

func (v *Voices) set(key types.NamespacedName, voice Voice) {
	if v.all == nil {
		v.all = map[types.NamespacedName]Voice{}
	}
	v.all[key] = voice
}

// Forget drops an owner that is gone, and gives its UID.
func (v *Voices) Forget(key types.NamespacedName) types.UID {
	v.mu.Lock()
	defer v.mu.Unlock()
	uid := v.all[key].UID
	delete(v.all, key)
	return uid
}

// Len is the number of owners that are remembered.
func (v *Voices) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.all)
}

// Queue is a controller's queue.
type Queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Trigger asks for a key from within the process, after a short delay that gathers what belongs together.
type Trigger struct {
	// Delay is how long to gather.
	Delay time.Duration

	mu    sync.Mutex
	queue Queue
	began time.Time
}

// NewTrigger makes a Trigger.
func NewTrigger(delay time.Duration) *Trigger { return &Trigger{Delay: delay} }

// Start is the function of a source.Func. The controller calls it when it begins to work, as the leader.
func (t *Trigger) Start(_ context.Context, queue Queue) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue, t.began = queue, time.Now()
	return nil
}

// Began is when the controller began to work.
func (t *Trigger) Began() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.began
}

// Fire asks for a key.
func (t *Trigger) Fire(key types.NamespacedName) {
	t.mu.Lock()
	queue := t.queue
	t.mu.Unlock()
	if queue != nil {
		queue.AddAfter(reconcile.Request{NamespacedName: key}, t.Delay)
	}
}
