// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

// apply puts a plan in force.
func (d *Driver) apply(p *plan) {
	if p.refused != "" {
		d.refuse(p, p.refused)
		return
	}
	var err error
	switch {
	case d.force != nil && d.force.shape == p.shape:
		err = d.follow(p)
	case d.force == nil && d.persisted.Shape == p.shape:
		err = d.adopt(p)
	default:
		err = d.reload(p)
	}
	if err == nil {
		d.replan = 0
		d.inForce(p)
		return
	}
	if d.ctx.Err() != nil {
		return
	}
	d.refuse(p, bounded(withoutSecrets(err.Error(), p.input.Secrets)))
	if d.force != nil {
		d.synchronize()
	}
	d.later(p.input)
}

// refuse reports that the last good configuration stays.
func (d *Driver) refuse(p *plan, why string) {
	d.log.Info("Refused the model; what was in force stays", "reason", why)
	d.update(func(s *Status) { s.Refused, s.Problems, s.Settled = why, p.problems, true })
}

func (d *Driver) inForce(p *plan) {
	d.update(func(s *Status) {
		s.Generation, s.Model, s.Refused, s.Problems = p.input.Model.Generation, p.input.Hash, "", p.problems
		s.Settled, s.Restored = true, false
	})
	d.log.Info("The model is in force", "generation", p.input.Model.Generation, "problems", len(p.problems))
	d.save()
}

// later has an input planned again after a while, unless there is a newer one by then.
func (d *Driver) later(input *Input) {
	d.replan = min(max(2*d.replan, replanFirst), replanMost)
	wait := d.replan
	go func() {
		if pause(d.ctx, wait) {
			d.again(input)
		}
	}()
}

// take makes a plan that in force.
func (d *Driver) take(p *plan, servers map[string][]haproxy.Server) {
	d.force, d.servers = p, servers
	d.shape.Store(&p.shape)
	pools := make(map[string]string, len(p.structure.Backends))
	for i := range p.structure.Backends {
		pools[p.structure.Backends[i].Name] = p.structure.Backends[i].Pool
	}
	d.pools.Store(&pools)
}

// follow changes what HAProxy takes while it runs.
func (d *Driver) follow(p *plan) error {
	if err := d.contents(d.force.structure, p.structure); err != nil {
		if unreachable(err) {
			// The files have it when HAProxy is back, and the next comparison sees to the rest.
			d.log.Error(err, "HAProxy does not answer")
			d.take(p, p.structure.Servers(d.inbox.all()))
			d.save()
			d.unsure = true
			return nil
		}
		d.log.Error(err, "HAProxy does not take a change while it runs; reloading")
		return d.reload(p)
	}
	servers := p.structure.Servers(d.inbox.all())
	d.take(p, servers)
	d.applyServers(servers)
	return nil
}

func unreachable(err error) bool {
	var refused *socket.Refused
	return !errors.As(err, &refused) && !errors.Is(err, socket.ErrValue)
}

// adopt takes over HAProxy as an earlier run of the agent left it.
func (d *Driver) adopt(p *plan) error {
	if err := d.awaitAlive(); err != nil {
		return fmt.Errorf("wait for HAProxy: %w", err)
	}
	d.take(p, p.structure.Servers(d.inbox.all()))
	d.synchronize()
	return nil
}

// reload has HAProxy start with a plan, or start anew with it. On an error the files are as before, and so is HAProxy.
func (d *Driver) reload(p *plan) error {
	dir := d.opts.Build.Dir
	_, err := os.Stat(filepath.Join(dir, configFile))
	first := err != nil
	servers := p.structure.Servers(d.inbox.all())
	var states []socket.ServerState
	if !first {
		if states, err = d.client.ServersState(d.ctx); err != nil {
			d.log.Error(err, "Cannot tell the next HAProxy what is known of members")
		}
	}
	content := imageOf(p.structure, dir, servers, serverStates(servers, states))
	content[d.persistedPath()] = d.record(p)
	undo, err := d.files.replace(content)
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if first {
		err = d.awaitAlive()
	} else {
		err = d.reloadMaster()
	}
	if err != nil {
		return errors.Join(err, undo())
	}
	d.take(p, servers)
	if err := d.files.prune(content); err != nil {
		d.log.Error(err, "Cannot remove files of the configuration before")
	}
	d.synchronize()
	return nil
}

// reloadMaster returns when the new worker has the socket. Where HAProxy starts at this time, it waits for it first: it
// may have read the files before.
func (d *Driver) reloadMaster() error {
	ctx, cancel := context.WithTimeout(d.ctx, startTimeout)
	defer cancel()
	for {
		worker, err := d.master.Reload(ctx)
		var refused *socket.ReloadError
		switch {
		case err == nil:
			d.update(func(s *Status) { s.Reloads++ })
			return d.client.AwaitWorker(ctx, worker.PID)
		case errors.As(err, &refused):
			return err
		}
		d.log.Info("HAProxy's master does not answer", "error", err.Error())
		if !pause(ctx, alivePoll) {
			return err
		}
	}
}
