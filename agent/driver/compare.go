// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

// maxValue is the most characters of a value in a repair.
const maxValue = 64

// difference is something that HAProxy has otherwise than it should, and how to undo it.
type difference struct {
	Repair
	change *change
	do     func() error
}

// compare undoes what differs between HAProxy's live state and what is in force. It is a repair, counted and told, unless
// the driver itself had reason to doubt.
func (d *Driver) compare(s *snapshot) {
	if s.plan != d.force || s.sequence < d.doubted {
		if d.unsure {
			d.observe()
		}
		return
	}
	if s.err != nil {
		if d.ctx.Err() == nil {
			d.log.Info("Cannot see HAProxy's live state", "error", s.err.Error())
		}
		d.rebuild(s.err)
		return
	}
	foreign := !d.unsure
	d.unsure = false
	servers, contents := d.compareServers(s), d.compareContents(s)
	d.undoServers(servers)
	for i := range contents {
		if err := contents[i].do(); err != nil {
			contents[i].Failed = true
			d.doubt(err)
		}
	}
	if !foreign {
		return
	}
	for _, difference := range append(servers, contents...) {
		d.repaired(difference.Repair)
	}
}

// rebuild reloads a HAProxy that runs with another configuration than its files have: what it does not know, no command
// brings about.
func (d *Driver) rebuild(why error) {
	if !errors.Is(why, socket.ErrNotFound) || time.Since(d.rebuilt) < replanMost {
		return
	}
	d.rebuilt = time.Now()
	d.files.forget()
	if err := d.reload(d.force); err != nil {
		d.log.Error(err, "Cannot reload a HAProxy that has another configuration")
	}
}

func (d *Driver) undoServers(differences []difference) {
	if len(differences) == 0 {
		return
	}
	var changes []change
	var cookies []socket.Command
	for _, difference := range differences {
		changes = append(changes, *difference.change)
		if difference.Field == fieldServer && d.dynamicCookie(difference.change.backend) {
			cookies = append(cookies, socket.EnableDynamicCookie(difference.change.backend))
		}
	}
	for i, done := range d.runChanges(changes, cookies) {
		differences[i].Failed = !done
	}
}

// repaired tells of a repair.
func (d *Driver) repaired(r Repair) {
	d.log.Info("Undid a foreign change in HAProxy", "object", r.Object, "field", r.Field, "want", r.Want, "found", r.Found, "failed", r.Failed)
	r.Want, r.Found, r.Time = cut(r.Want), cut(r.Found), time.Now()
	if d.opts.Repaired != nil {
		d.opts.Repaired()
	}
	d.update(func(s *Status) {
		s.Repairs = slices.Insert(s.Repairs, 0, r)
		s.Repairs = s.Repairs[:min(len(s.Repairs), maxRepairs)]
	})
}

func cut(text string) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), maxValue)])
}

// Fields of servers in repairs.
const (
	fieldServer  = "server"
	fieldState   = "state"
	fieldWeight  = "weight"
	fieldAddress = "address"
	fieldCheck   = "check"
	present      = "present"
)

// compareServers takes over what HAProxy has, but in backends that were changed since the look began.
func (d *Driver) compareServers(s *snapshot) []difference {
	var out []difference
	for i := range d.force.structure.Backends {
		backend := d.force.structure.Backends[i].Name
		if d.touched[backend] > s.sequence {
			continue
		}
		out = append(out, d.compareBackend(backend, s.servers[backend])...)
	}
	// A reload has taken away others.
	for backend := range d.live {
		if _, is := d.servers[backend]; !is {
			delete(d.live, backend)
			delete(d.touched, backend)
		}
	}
	return out
}

func (d *Driver) compareBackend(backend string, states map[string]socket.ServerState) []difference {
	before := d.live[backend]
	live := make(map[string]*liveServer, len(states))
	d.live[backend] = live
	wanted := make(map[string]*haproxy.Server, len(d.servers[backend]))
	var out []difference
	differs := func(name, field, want, found string, c change) {
		out = append(out, difference{
			Repair: Repair{Object: "server " + backend + "/" + name, Field: field, Want: want, Found: found}, change: &c,
		})
	}
	for i := range d.servers[backend] {
		server := &d.servers[backend][i]
		wanted[server.Name] = server
		state, is := states[server.Name]
		if !is {
			differs(server.Name, fieldServer, present, "", change{backend, server.Name, add(backend, *server, server.Params), &liveServer{Server: *server}})
			continue
		}
		live[server.Name] = liveOf(server, state)
		serverDiffers(backend, server, live[server.Name], state, differs)
	}
	for _, name := range sortedKeys(states) {
		if wanted[name] != nil {
			continue
		}
		state := states[name]
		live[name] = liveOf(&haproxy.Server{Name: name, Address: state.Addr, Port: int32(state.Port)}, state)
		if known := before[name]; known != nil && !known.leaving.IsZero() {
			live[name].leaving, live[name].next, live[name].wait = known.leaving, known.next, known.wait
			if state.Admin.State() != socket.Maint {
				differs(name, fieldState, string(socket.Maint), string(state.Admin.State()), leave(backend, live[name].Server))
			}
			continue
		}
		differs(name, fieldServer, "", present, leave(backend, live[name].Server))
	}
	return out
}

// liveOf is a server as HAProxy has it.
func liveOf(server *haproxy.Server, state socket.ServerState) *liveServer {
	live := &liveServer{Server: *server}
	live.Weight, live.State = state.Weight, state.Admin.State()
	if live.Weight == 0 && live.State == socket.Drain {
		// That of the configuration; the two are the same to clients.
		live.State = cmp.Or(server.State, socket.Drain)
	}
	return live
}

func serverDiffers(backend string, server *haproxy.Server, live *liveServer, state socket.ServerState,
	differs func(name, field, want, found string, c change),
) {
	done := &liveServer{Server: *server}
	if live.State != server.State || live.Weight != server.Weight {
		field, want, found := fieldState, string(server.State), string(live.State)
		if live.State == server.State {
			field, want, found = fieldWeight, strconv.Itoa(server.Weight), strconv.Itoa(live.Weight)
		}
		differs(server.Name, field, want, found, change{backend, server.Name, toward(backend, live, *server), done})
	}
	address, err := netip.ParseAddr(server.Address)
	if err == nil && (state.Addr != server.Address || state.Port != int(server.Port)) {
		to := netip.AddrPortFrom(address, uint16(server.Port))
		differs(server.Name, fieldAddress, to.String(), state.Addr+" port "+strconv.Itoa(state.Port),
			change{backend, server.Name, []socket.Command{socket.SetAddr(backend, server.Name, to)}, done})
	}
	if checked(*server) && state.CheckState&socket.CheckConfigured != 0 && state.CheckState&socket.CheckEnabled == 0 {
		differs(server.Name, fieldCheck, "enabled", "disabled",
			change{backend, server.Name, []socket.Command{socket.EnableHealth(backend, server.Name)}, done})
	}
}

func (d *Driver) compareContents(s *snapshot) []difference {
	var out []difference
	differs := func(object, field, want, found string, do func() error) {
		out = append(out, difference{Repair: Repair{Object: object, Field: field, Want: want, Found: found}, do: do})
	}
	structure := d.force.structure
	for _, path := range sortedKeys(structure.Certificates) {
		pem, found := structure.Certificates[path], s.certificates[path]
		if want := fingerprint(pem); want != found {
			differs("certificate "+filepath.Base(path), "fingerprint", want, found, func() error { return d.setCertificate(path, pem, found == "") })
		}
	}
	for _, path := range sortedKeys(structure.CertLists) {
		lines, have := structure.CertLists[path], s.lists[path]
		for _, name := range differing(certificates(lines), have) {
			want, found := "", ""
			if slices.Contains(have, name) {
				found = filepath.Base(name)
			} else {
				want = filepath.Base(name)
			}
			// Once for all.
			differs("certificate list "+filepath.Base(path), "certificate", want, found, func() error { return d.setList(path, have, lines) })
			break
		}
	}
	for _, path := range sortedKeys(structure.Maps) {
		entries := structure.Maps[path]
		if key, want, found, differ := differingEntry(entries, s.maps[path]); differ {
			differs("map "+filepath.Base(path), key, want, found, func() error { return d.client.ReplaceMap(d.ctx, path, entries) })
		}
	}
	return out
}

// differing are the texts that only one of two lists has.
func differing(a, b []string) []string {
	var out []string
	for _, text := range a {
		if !slices.Contains(b, text) {
			out = append(out, text)
		}
	}
	for _, text := range b {
		if !slices.Contains(a, text) {
			out = append(out, text)
		}
	}
	return out
}

// differingEntry is the first one that differs.
func differingEntry(want, found []socket.Entry) (key, wanted, have string, differ bool) {
	for i := range max(len(want), len(found)) {
		switch {
		case i >= len(want):
			return found[i].Key, "", found[i].Value, true
		case i >= len(found):
			return want[i].Key, want[i].Value, "", true
		case want[i].Key != found[i].Key && len(want) < len(found):
			return found[i].Key, "", found[i].Value, true
		case want[i].Key != found[i].Key:
			return want[i].Key, want[i].Value, "", true
		case want[i].Value != found[i].Value:
			return want[i].Key, want[i].Value, found[i].Value, true
		}
	}
	return "", "", "", false
}
