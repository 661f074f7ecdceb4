// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// syncPoll is the pause between two looks whether a source has all that there is.
const syncPoll = 5 * time.Millisecond

// forbiddenRetry is the pause before a source that was forbidden is asked for again.
const forbiddenRetry = 2 * time.Second

// state is how far a source is.
type state int32

const (
	waiting state = iota
	// known is for a source that had everything once; it keeps what it has while the API server is away.
	known
	// forbidden is for a source that the API server refuses.
	forbidden
)

// lists are the two questions to the API server.
type lists struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// source is one list of objects that is kept up to date.
type source struct {
	what   string
	lists  lists
	object runtime.Object
	// changed gets what was there, nil for an object that is new, and what is, nil for one that is gone.
	changed func(old, object any)
	trim    func(any) (any, error)

	stop context.CancelFunc
	now  atomic.Int32
}

func (s *source) state() state { return state(s.now.Load()) }

// start keeps a source up to date until ctx ends or it is stopped. One that is forbidden from the begin is asked for again
// every few moments: a grant often comes a little later than the model, and an informer's own pauses grow to half a minute.
func (w *Watcher) start(ctx context.Context, s *source) {
	ctx, s.stop = context.WithCancel(ctx)
	w.all.Go(func() {
		for ctx.Err() == nil {
			w.attempt(ctx, s)
		}
	})
}

// attempt returns when ctx ends, or a moment after the source was forbidden before it had anything.
func (w *Watcher) attempt(ctx context.Context, s *source) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var synced atomic.Bool
	set := func(next state) {
		if state(s.now.Swap(int32(next))) != next {
			// settle takes a lock that a handler may hold.
			w.all.Go(w.settled)
		}
	}
	judge := func(err error) {
		switch {
		case apierrors.IsForbidden(err):
			if s.state() != forbidden {
				w.opts.Log.Info("May not read", "what", s.what)
			}
			set(forbidden)
			if !synced.Load() {
				time.AfterFunc(forbiddenRetry, cancel)
			}
		case err == nil && synced.Load():
			set(known)
		}
	}
	controller := s.informer(judge)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		ticker := time.NewTicker(syncPoll)
		defer ticker.Stop()
		for !controller.HasSynced() {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
		synced.Store(true)
		set(known)
	})
	controller.RunWithContext(ctx)
	waiting.Wait()
}

// informer tells judge what came of each question.
func (s *source) informer(judge func(error)) cache.Controller {
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				list, err := s.lists.list(ctx, options)
				judge(err)
				return list, err
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				events, err := s.lists.watch(ctx, options)
				judge(err)
				return events, err
			},
		},
		ObjectType: s.object,
		Transform:  s.trim,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { s.changed(nil, object) },
			UpdateFunc: func(old, object any) { s.changed(old, object) },
			DeleteFunc: func(object any) {
				if gone, is := object.(cache.DeletedFinalStateUnknown); is {
					object = gone.Obj
				}
				s.changed(object, nil)
			},
		},
	})
	return controller
}

// named narrows lists to one object.
func named(object string, l lists) lists {
	narrow := func(options metav1.ListOptions) metav1.ListOptions {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, object).String()
		return options
	}
	return lists{
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return l.list(ctx, narrow(options))
		},
		watch: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return l.watch(ctx, narrow(options))
		},
	}
}

func configMaps(client kubernetes.Interface, namespace string) lists {
	c := client.CoreV1().ConfigMaps(namespace)
	return lists{
		list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) },
		watch: c.Watch,
	}
}

func secretLists(client kubernetes.Interface, namespace string) lists {
	c := client.CoreV1().Secrets(namespace)
	return lists{
		list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) },
		watch: c.Watch,
	}
}

func endpointSlices(client kubernetes.Interface, namespace string) lists {
	c := client.DiscoveryV1().EndpointSlices(namespace)
	return lists{
		list:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) },
		watch: c.Watch,
	}
}

// secret is one Secret that the model names.
type secret struct {
	*source
	// data is nil while there is no such Secret.
	data map[string][]byte
}

// secretKeys are those that a load balancer uses.
var secretKeys = []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey, "ca.crt", "auth"}

func (w *Watcher) watchSecret(id name) *secret {
	s := &secret{source: &source{
		what: "Secret " + id.namespace + "/" + id.name, lists: named(id.name, secretLists(w.opts.Client, id.namespace)),
		object: &corev1.Secret{}, trim: trimSecret,
	}}
	s.changed = func(_, object any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.data = nil
		if one, is := object.(*corev1.Secret); is {
			s.data = one.Data
			if s.data == nil {
				s.data = map[string][]byte{}
			}
		}
		w.settle()
	}
	w.start(w.ctx, s.source)
	return s
}

// trimSecret keeps what is used: memory is for members.
func trimSecret(object any) (any, error) {
	one, is := object.(*corev1.Secret)
	if !is {
		return object, nil
	}
	out := &corev1.Secret{ObjectMeta: trimMeta(one.ObjectMeta), Data: map[string][]byte{}}
	for _, key := range secretKeys {
		if value, is := one.Data[key]; is {
			out.Data[key] = value
		}
	}
	return out, nil
}

func trimConfigMap(object any) (any, error) {
	one, is := object.(*corev1.ConfigMap)
	if !is {
		return object, nil
	}
	return &corev1.ConfigMap{ObjectMeta: trimMeta(one.ObjectMeta), Data: map[string]string{modelKey: one.Data[modelKey]}}, nil
}

func trimMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, ResourceVersion: meta.ResourceVersion}
	if service, is := meta.Labels[discoveryv1.LabelServiceName]; is {
		out.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	}
	// The mark that a streamed list is complete.
	if mark, is := meta.Annotations[metav1.InitialEventsAnnotationKey]; is {
		out.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: mark}
	}
	return out
}
