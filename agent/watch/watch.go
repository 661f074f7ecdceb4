// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package watch reads from the API server what a load balancer needs: its model, the Secrets and the endpoints of the
// Services that the model names, and who the other replicas are. It hands on a model when everything that belongs to
// it is known, and a change of endpoints at once.
package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/fairlead/fairlead/agent/driver"
	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
)

const (
	// modelKey is the ConfigMap's key.
	modelKey = "model.json"
	// hashLength is how much of the hash of a model names it.
	hashLength = 16
	// peersQuiet is how long replicas must have been the same ones before they are handed on: each change is a reload.
	peersQuiet = 2 * time.Second
)

// Sink takes what was read.
type Sink interface {
	SetInput(*driver.Input)
	SetEndpoints(service model.ServiceRef, endpoints []haproxy.Endpoint, at time.Time)
}

// Options say what to watch.
type Options struct {
	Client kubernetes.Interface
	// Namespace and Object are those of the ConfigMap, which is named like the Service of the replicas.
	Namespace, Object string
	// Pod and Address are this replica's.
	Pod, Address string
	Log          logr.Logger
}

// Watcher watches one load balancer.
type Watcher struct {
	opts Options
	sink Sink
	ctx  context.Context
	all  sync.WaitGroup

	mu    sync.Mutex
	input *driver.Input
	// refs are the ports of services that the model names, by service.
	refs       map[name][]model.ServiceRef
	secrets    map[name]*secret
	namespaces map[string]*namespace
	handed     *driver.Input
	peers      []haproxy.Peer
	peersTimer *time.Timer
}

// name is a namespace and a name in it.
type name struct{ namespace, name string }

// New makes a watcher that hands on to a sink.
func New(opts Options, sink Sink) *Watcher {
	return &Watcher{
		opts: opts, sink: sink, refs: map[name][]model.ServiceRef{}, secrets: map[name]*secret{}, namespaces: map[string]*namespace{},
	}
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	w.ctx = ctx
	w.start(ctx, &source{
		what:    "ConfigMap " + w.opts.Namespace + "/" + w.opts.Object,
		lists:   named(w.opts.Object, configMaps(w.opts.Client, w.opts.Namespace)),
		object:  &corev1.ConfigMap{},
		changed: w.modelChanged,
		trim:    trimConfigMap,
	})
	<-ctx.Done()
	w.all.Wait()
}

// modelChanged takes over a model; nil for a ConfigMap that was deleted, which changes nothing.
func (w *Watcher) modelChanged(_, object any) {
	configMap, is := object.(*corev1.ConfigMap)
	if !is {
		return
	}
	input := parse(configMap.Data[modelKey])
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.input != nil && w.input.Hash == input.Hash {
		return
	}
	w.opts.Log.Info("Read a model", "model", input.Hash)
	w.input = input
	if input.Model != nil {
		w.follow(input.Model)
	}
	w.settle()
}

func parse(text string) *driver.Input {
	sum := sha256.Sum256([]byte(text))
	input := &driver.Input{Hash: hex.EncodeToString(sum[:])[:hashLength]}
	var cfg model.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		input.Refused = fmt.Sprintf("the model cannot be read: %v", err)
		return input
	}
	input.Model = &cfg
	return input
}

// follow watches exactly what the model names.
func (w *Watcher) follow(cfg *model.Config) {
	w.refs = services(cfg)
	namespaces := map[string]bool{}
	for service := range w.refs {
		namespaces[service.namespace] = true
	}
	if limited(cfg) {
		namespaces[w.opts.Namespace] = true
	}
	secrets := map[name]bool{}
	for _, ref := range driver.Secrets(cfg) {
		secrets[name{ref.Namespace, ref.Name}] = true
	}
	for id := range secrets {
		if w.secrets[id] == nil {
			w.secrets[id] = w.watchSecret(id)
		}
	}
	for id, secret := range w.secrets {
		if !secrets[id] {
			secret.stop()
			delete(w.secrets, id)
		}
	}
	for id := range namespaces {
		if w.namespaces[id] == nil {
			w.namespaces[id] = w.watchNamespace(id)
		}
	}
	for id, namespace := range w.namespaces {
		if !namespaces[id] {
			namespace.stop()
			delete(w.namespaces, id)
		}
	}
}

// services are the ports that members name, by service.
func services(cfg *model.Config) map[name][]model.ServiceRef {
	refs := map[name][]model.ServiceRef{}
	known := map[model.ServiceRef]bool{}
	for i := range cfg.Pools {
		for _, member := range cfg.Pools[i].Members {
			if ref := member.Service; ref != nil && !known[*ref] {
				known[*ref] = true
				id := name{ref.Namespace, ref.Name}
				refs[id] = append(refs[id], *ref)
			}
		}
	}
	return refs
}

// limited reports whether replicas count together.
func limited(cfg *model.Config) bool {
	for i := range cfg.Routes {
		if cfg.Routes[i].RateLimit != nil {
			return true
		}
	}
	return false
}

// settle hands on the model when all that it names is known, or known to be closed to this replica.
func (w *Watcher) settle() {
	if w.input == nil {
		return
	}
	input := *w.input
	if input.Model == nil {
		w.hand(&input)
		return
	}
	for id, namespace := range w.namespaces {
		switch namespace.state() {
		case waiting:
			return
		case forbidden:
			w.opts.Log.Info("May not read endpoints; there are none", "namespace", id)
		}
	}
	input.Secrets, input.Unreadable = haproxy.Secrets{}, map[model.SecretRef]string{}
	for id, secret := range w.secrets {
		ref := model.SecretRef{Namespace: id.namespace, Name: id.name}
		switch {
		case secret.state() == waiting:
			return
		case secret.state() == forbidden:
			input.Unreadable[ref] = "the load balancer may not read it"
		case secret.data == nil:
			input.Unreadable[ref] = "it does not exist"
		default:
			input.Secrets[ref] = secret.data
		}
	}
	if limited(input.Model) {
		input.Peers = w.peersNow()
	}
	for service := range w.refs {
		w.handEndpoints(service, time.Now())
	}
	w.hand(&input)
}

func (w *Watcher) hand(input *driver.Input) {
	if w.handed != nil && reflect.DeepEqual(w.handed, input) {
		return
	}
	w.handed = input
	w.sink.SetInput(input)
}

// settled is for sources whose state has changed.
func (w *Watcher) settled() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
}
