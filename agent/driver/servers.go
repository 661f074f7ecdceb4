// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

const (
	// removePoll is the pause between two looks at servers that are to go.
	removePoll = 50 * time.Millisecond
	// removeMax bounds the pause before one of them is tried again.
	removeMax = 2 * time.Second
)

// liveServer is a server that HAProxy has.
type liveServer struct {
	haproxy.Server
	// leaving is when it was taken out of service for good; zero for one that serves.
	leaving time.Time
	// next is when to try again to delete it, after wait.
	next time.Time
	wait time.Duration
}

// change is the commands that bring one server to what is wanted, and what holds when they have been run.
type change struct {
	backend, name string
	commands      []socket.Command
	// done is nil where HAProxy does not have the server any more.
	done *liveServer
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// takeEndpoints puts changed endpoints in force.
func (d *Driver) takeEndpoints() {
	if d.force == nil {
		// The first plan takes them.
		return
	}
	services, all, first := d.inbox.changes()
	if len(services) == 0 {
		return
	}
	some := d.force.structure.ServersOf(services, all)
	maps.Copy(d.servers, some)
	changed, ok := d.applyServers(some)
	if !changed {
		return
	}
	if ok && d.opts.Took != nil {
		d.opts.Took(time.Since(first))
	}
	d.save()
}

// applyServers brings HAProxy's servers of some backends to what is wanted. ok is false where HAProxy did not do it;
// the next comparison with its live state does it then.
func (d *Driver) applyServers(some map[string][]haproxy.Server) (changed, ok bool) {
	var changes []change
	var cookies []socket.Command
	for _, backend := range sortedKeys(some) {
		of := d.changesOf(backend, some[backend])
		changes = append(changes, of...)
		if len(of) > 0 && d.dynamicCookie(backend) {
			cookies = append(cookies, socket.EnableDynamicCookie(backend))
		}
	}
	if len(changes) == 0 {
		return false, true
	}
	return true, !slices.Contains(d.runChanges(changes, cookies), false)
}

func (d *Driver) dynamicCookie(backend string) bool {
	i := slices.IndexFunc(d.force.structure.Backends, func(b haproxy.Backend) bool { return b.Name == backend })
	return i >= 0 && d.force.structure.Backends[i].DynamicCookie
}

// changesOf compares a backend with what HAProxy is known to have.
func (d *Driver) changesOf(backend string, wanted []haproxy.Server) []change {
	var changes []change
	names := make(map[string]bool, len(wanted))
	for _, server := range wanted {
		names[server.Name] = true
		if commands := toward(backend, d.live[backend][server.Name], server); len(commands) > 0 {
			changes = append(changes, change{backend, server.Name, commands, &liveServer{Server: server}})
		}
	}
	for _, name := range sortedKeys(d.live[backend]) {
		if live := d.live[backend][name]; !names[name] && live.leaving.IsZero() {
			changes = append(changes, leave(backend, live.Server))
		}
	}
	return changes
}

// toward gives the commands from a server as it is, nil for none, to what is wanted.
func toward(backend string, live *liveServer, wanted haproxy.Server) []socket.Command {
	if live == nil {
		return add(backend, wanted, wanted.Params)
	}
	var commands []socket.Command
	state := live.State
	if !live.leaving.IsZero() {
		state = socket.Maint
	}
	if live.Weight != wanted.Weight {
		commands = append(commands, socket.SetWeight(backend, wanted.Name, wanted.Weight))
		if live.Weight == 0 && state == wanted.State {
			// A weight of 0 in the configuration is a drain, which a weight alone does not end.
			state = ""
		}
	}
	if state != wanted.State {
		commands = append(commands, socket.SetState(backend, wanted.Name, wanted.State))
	}
	return commands
}

// add gives the commands for a server that HAProxy does not have.
func add(backend string, server haproxy.Server, params []string) []socket.Command {
	address := net.JoinHostPort(server.Address, strconv.Itoa(int(server.Port)))
	words := append(slices.Clone(params), "weight", strconv.Itoa(server.Weight))
	commands := []socket.Command{socket.AddServer(backend, server.Name, address, words...)}
	if checked(server) {
		commands = append(commands, socket.EnableHealth(backend, server.Name))
	}
	return append(commands, socket.SetState(backend, server.Name, server.State))
}

func checked(server haproxy.Server) bool { return slices.Contains(server.Params, "check") }

// leave takes a server out of service. What is open goes on, and nothing new comes, whatever persistence says: what was
// removed is gone, other than what drains. It is deleted when nothing is open.
func leave(backend string, server haproxy.Server) change {
	return change{
		backend, server.Name, []socket.Command{socket.SetState(backend, server.Name, socket.Maint)},
		&liveServer{Server: server, leaving: time.Now(), wait: removePoll},
	}
}

// runChanges sends all commands in one round trip, and tells for each change whether it is done.
func (d *Driver) runChanges(changes []change, more []socket.Command) []bool {
	done := make([]bool, len(changes))
	var commands []socket.Command
	for _, c := range changes {
		commands = append(commands, c.commands...)
	}
	results, err := d.client.RunEach(d.ctx, append(commands, more...)...)
	if err != nil {
		d.doubt(err)
		return done
	}
	var all []error
	for i, c := range changes {
		failed := errors.Join(results[:len(c.commands)]...)
		results = results[len(c.commands):]
		if failed != nil {
			failed = d.addAnyID(c, failed)
		}
		if done[i] = failed == nil; done[i] {
			d.set(c)
		}
		all = append(all, failed)
	}
	if err := errors.Join(append(all, results...)...); err != nil {
		d.doubt(err)
	}
	return done
}

// addAnyID tries again to add a server, with an id of HAProxy's choice, where its own one was taken: by a server
// that is still to go, or one that came to it when the two were there together.
func (d *Driver) addAnyID(c change, failed error) error {
	if c.done == nil || d.live[c.backend][c.name] != nil || errors.Is(failed, socket.ErrExists) || len(c.done.Params) < 2 || c.done.Params[0] != "id" {
		return failed
	}
	if err := d.client.Run(d.ctx, add(c.backend, c.done.Server, c.done.Params[2:])...); err != nil {
		return failed
	}
	return nil
}

// set takes over what a change has done.
func (d *Driver) set(c change) {
	d.sequence++
	d.touched[c.backend] = d.sequence
	servers := d.live[c.backend]
	if servers == nil {
		servers = map[string]*liveServer{}
		d.live[c.backend] = servers
	}
	if c.done == nil {
		delete(servers, c.name)
		return
	}
	if !c.done.leaving.IsZero() {
		d.removing++
	}
	servers[c.name] = c.done
}

// doubt asks for a comparison with HAProxy's live state: it is not what it should be, by no foreign hand.
func (d *Driver) doubt(err error) {
	if d.ctx.Err() != nil {
		return
	}
	d.log.Error(err, "HAProxy did not do what it was told; comparing with its live state")
	d.unsure = true
	d.sequence++
	d.doubted = d.sequence
	// What HAProxy refuses again and again waits for the usual comparison.
	if time.Since(d.retried) > d.opts.VerifyEvery/4 {
		d.retried = time.Now()
		d.observe()
	}
}

// remove deletes the servers that were taken out of service and have nothing open any more. When the drain timeout is over,
// what is still open is cut.
func (d *Driver) remove() {
	if d.removing == 0 || d.force == nil {
		return
	}
	now := time.Now()
	limit := d.force.input.Model.DrainTimeout.Std()
	var commands []socket.Command
	var servers []*liveServer
	var names [][2]string
	d.removing = 0
	for backend, all := range d.live {
		for name, server := range all {
			if server.leaving.IsZero() {
				continue
			}
			d.removing++
			if now.Before(server.next) {
				continue
			}
			if now.Sub(server.leaving) > limit {
				// It is no error that there was none: its result is not looked at.
				if err := d.client.Run(d.ctx, socket.ShutdownSessions(backend, name)); err != nil {
					d.log.Info("Cannot cut what a removed server still serves", "backend", backend, "server", name, "error", err.Error())
				}
			}
			commands = append(commands, socket.DelServer(backend, name))
			servers, names = append(servers, server), append(names, [2]string{backend, name})
		}
	}
	results, err := d.client.RunEach(d.ctx, commands...)
	if err != nil {
		d.doubt(err)
		return
	}
	for i, result := range results {
		if result == nil || errors.Is(result, socket.ErrNotFound) {
			d.set(change{backend: names[i][0], name: names[i][1]})
			continue
		}
		if !errors.Is(result, socket.ErrBusy) {
			d.log.Error(result, "Cannot remove a server yet", "backend", names[i][0], "server", names[i][1])
		}
		servers[i].next, servers[i].wait = now.Add(servers[i].wait), min(2*servers[i].wait, removeMax)
	}
}

// save has everything that is in force written to the files.
func (d *Driver) save() {
	p, servers, dir := d.force, maps.Clone(d.servers), d.opts.Build.Dir
	record := d.record(p)
	d.files.save(func() image {
		content := imageOf(p.structure, dir, servers, serverStates(servers, nil))
		content[d.persistedPath()] = record
		return content
	})
}
