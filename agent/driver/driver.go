// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package driver makes one HAProxy hold what a model, its Secrets and the endpoints of its Services ask for, and keeps
// it so.
//
//	endpoints ──────────────────────▶ loop ──commands──▶ HAProxy's socket        at once
//	model, Secrets ──▶ planner ──plan──▶ loop ──commands, or files and a reload──▶ HAProxy
//	HAProxy's live state ──observer──▶ loop ──commands──▶ HAProxy's socket       every few seconds
//
// The loop alone changes HAProxy. What takes long is done beside it: planning, which asks HAProxy whether it takes a
// configuration, reading the live state, and writing files. So a change of endpoints never waits for them.
package driver

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

const (
	configFile = "haproxy.cfg"
	// alivePoll is the pause between two looks whether HAProxy is back.
	alivePoll = 20 * time.Millisecond
	// startTimeout is how long HAProxy may take to start or reload.
	startTimeout = 60 * time.Second
	// replanFirst and replanMost bound the pause before something that failed is tried again.
	replanFirst, replanMost = 200 * time.Millisecond, 30 * time.Second
)

// Options are what stays for the life of a driver.
type Options struct {
	// Build is handed on to haproxy.Build; the driver adds Version, Peers and Without.
	Build haproxy.Options
	Log   logr.Logger
	// VerifyEvery is the time between two comparisons with HAProxy's live state.
	VerifyEvery time.Duration
	// Took, if set, gets the time from an endpoint's event to its effect in HAProxy.
	Took func(time.Duration)
	// Repaired, if set, is called for every repair.
	Repaired func()
}

// Driver drives one HAProxy. Run does the work; the other methods may be called at any time, before it too.
type Driver struct {
	opts   Options
	log    logr.Logger
	client *socket.Client
	master *socket.Master
	proxy  *proxy
	files  *files

	inbox   inbox
	planned chan *plan
	// observed brings snapshots; restarted says that HAProxy ended.
	observed  chan *snapshot
	restarted chan struct{}
	// shape is that in force, for the planner.
	shape atomic.Pointer[string]
	// pools are the pools of the backends in force.
	pools atomic.Pointer[map[string]string]

	// The rest is the loop's.
	ctx      context.Context
	force    *plan
	servers  map[string][]haproxy.Server
	live     map[string]map[string]*liveServer
	removing int
	sequence uint64
	// doubted is the sequence before which a look is of no use.
	doubted   uint64
	retried   time.Time
	rebuilt   time.Time
	touched   map[string]uint64
	observing bool
	unsure    bool
	persisted persisted
	replan    time.Duration

	mu      sync.Mutex
	status  Status
	changed chan struct{}
}

// New makes a driver of the HAProxy whose files are in Options.Build.Dir.
func New(opts Options) *Driver {
	dir := opts.Build.Dir
	return &Driver{
		opts: opts, log: opts.Log,
		client: socket.New(filepath.Join(dir, haproxy.AdminSocket)), master: socket.NewMaster(filepath.Join(dir, "master.sock")),
		proxy: newProxy(dir), files: newFiles(dir, opts.Log), inbox: newInbox(),
		planned: make(chan *plan), observed: make(chan *snapshot), restarted: make(chan struct{}, 1),
		live: map[string]map[string]*liveServer{}, touched: map[string]uint64{}, changed: make(chan struct{}, 1),
	}
}

// Run drives HAProxy until ctx ends, and leaves it as it is.
func (d *Driver) Run(ctx context.Context) error {
	d.ctx = ctx
	d.restore()
	status, err := d.proxy.await(ctx, d.log)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	version, err := parseVersion(status.Version)
	if err != nil {
		return err
	}
	d.opts.Build.Version = version
	d.update(func(s *Status) { s.Version = status.Version })
	var group sync.WaitGroup
	group.Go(func() { d.planner(ctx) })
	group.Go(func() { d.files.saver(ctx) })
	group.Go(func() { d.watchEnd(ctx) })
	d.loop(ctx)
	group.Wait()
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (d *Driver) loop(ctx context.Context) {
	verify := time.NewTicker(d.opts.VerifyEvery)
	defer verify.Stop()
	remove := time.NewTicker(removePoll)
	defer remove.Stop()
	for {
		// Endpoints go first.
		select {
		case <-d.inbox.wake:
			d.takeEndpoints()
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-d.inbox.wake:
			d.takeEndpoints()
		case p := <-d.planned:
			d.apply(p)
		case <-verify.C:
			d.observe()
		case s := <-d.observed:
			d.observing = false
			d.compare(s)
		case <-remove.C:
			d.remove()
		case <-d.restarted:
			d.afterRestart()
		}
	}
}

// watchEnd tells the loop when HAProxy has ended, and with it its container's supervisor.
func (d *Driver) watchEnd(ctx context.Context) {
	for ctx.Err() == nil {
		if !d.proxy.wait(ctx) {
			pause(ctx, alivePoll)
			continue
		}
		select {
		case d.restarted <- struct{}{}:
		default:
		}
	}
}

// afterRestart brings HAProxy, which has come back with what is in its files, to what is wanted now.
func (d *Driver) afterRestart() {
	if d.force == nil || d.ctx.Err() != nil {
		return
	}
	d.log.Info("HAProxy ended; waiting for its next start")
	if err := d.awaitAlive(); err != nil {
		d.log.Error(err, "HAProxy has not come back")
		return
	}
	d.log.Info("HAProxy is back")
	d.synchronize()
}

// Alive reports by its error whether HAProxy answers.
func (d *Driver) Alive(ctx context.Context) error {
	_, err := d.client.Info(ctx)
	return err
}

// Stats are HAProxy's counters.
func (d *Driver) Stats(ctx context.Context) ([]socket.Stat, error) { return d.client.Stats(ctx) }

// Pool gives the pool of a backend, by the names of both; empty for what is none.
func (d *Driver) Pool(backend string) string {
	if pools := d.pools.Load(); pools != nil {
		return (*pools)[backend]
	}
	return ""
}

func (d *Driver) awaitAlive() error {
	ctx, cancel := context.WithTimeout(d.ctx, startTimeout)
	defer cancel()
	for {
		err := d.Alive(ctx)
		if err == nil {
			return nil
		}
		if !pause(ctx, alivePoll) {
			return err
		}
	}
}

// pause reports whether the time was over before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
