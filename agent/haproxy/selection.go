// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/model"
)

// A listener's last step: from txn.pool, a target, to the backend.
//
//	txn.set       the target, or <target>~<n> while n-1 levels of priority have too few servers
//	txn.kind      how the set picks among its groups; not there for a target of one backend
//	txn.sticky    the group that the client had, by cookie or table; txn.wish its backend
//	txn.slot      the drawn number; txn.group the backend it falls to; txn.backend that of txn.wish or txn.group
//	              which has servers
//
// What pools there are stands in maps and in names, so that the lines are few whatever the number of pools is. Only
// priorities and ties to groups take lines per pool: HAProxy counts a backend's servers by its name in the config.

// Maps of the selection.
const (
	kindsMap   = "kinds.map"   // target → kind
	ringMap    = "ring.map"    // <set>/<backend> → the next one; <set>/ → the first
	membersMap = "members.map" // <target>/<group's id> → backend
	idsMap     = "ids.map"     // backend → group's id
)

// Kinds of picking a group. That of a header is followed by its name.
const (
	kindRandom = "random"
	kindSource = "source"
	kindPath   = "path"
	kindHeader = "header."
)

// draws is how often a group is drawn while what was drawn has no servers; after that they are tried in turn.
const draws = 3

func (t *target) kind() string {
	switch t.algorithm {
	case model.SourceHash:
		return kindSource
	case model.URIHash:
		return kindPath
	case model.HeaderHash:
		return kindHeader + t.pool.HashHeader
	default:
		return kindRandom
	}
}

// levels is how many priorities the target's groups have.
func (t *target) levels() int {
	most := 0
	for i := range t.groups {
		most = max(most, t.groups[i].level)
	}
	return most + 1
}

// set names what a request picks from while the levels below are not enough.
func (t *target) set(level int) string {
	if level == 0 {
		return t.name
	}
	return t.name + "~" + strconv.Itoa(level+1)
}

// at gives the groups in use at a level, those of higher priority first.
func (t *target) at(level int) []*group {
	var out []*group
	for i := range t.groups {
		if t.groups[i].level <= level {
			out = append(out, &t.groups[i])
		}
	}
	slices.SortStableFunc(out, func(a, b *group) int { return a.level - b.level })
	return out
}

// selectionMaps fills the maps.
func (b *builder) selectionMaps() {
	entries := map[string][]socket.Entry{}
	add := func(name, key, value string) {
		entries[name] = append(entries[name], socket.Entry{Key: key, Value: value})
	}
	for i := range b.targets {
		t := &b.targets[i]
		if !b.grouped(t) {
			continue
		}
		add(kindsMap, t.name, t.kind())
		for j := range t.groups {
			g := &t.groups[j]
			add(membersMap, t.name+"/"+g.cookieValue(), t.backend(g))
			add(idsMap, t.backend(g), g.cookieValue())
		}
		for level := range t.levels() {
			used := t.at(level)
			shares := make([]share, len(used))
			add(ringMap, t.set(level)+"/", t.backend(used[0]))
			for j, g := range used {
				shares[j] = share{weight: g.weight, value: t.backend(g)}
				add(ringMap, t.set(level)+"/"+t.backend(g), t.backend(used[(j+1)%len(used)]))
			}
			b.split(t.set(level), shares)
		}
	}
	for name, list := range entries {
		b.structure.Maps[b.mapPath(name)] = list
	}
}

// chooser writes the lines of one listener.
type chooser struct {
	*builder
	w *config.Writer
	// rule is the keyword of a line.
	rule    string
	targets []*target
}

// grouped reports whether there are several backends to choose from.
func (b *builder) grouped(t *target) bool { return len(t.groups) > 1 && !b.broken[poolField(t.pool)] }

// selection writes the lines of a frontend that choose the backend from txn.pool.
func (b *builder) selection(w *config.Writer, listener *model.Listener) {
	c := chooser{builder: b, w: w, rule: "http-request"}
	stream := isStream(listener)
	if stream {
		c.rule = "tcp-request content"
		for i := range b.cfg.Pools {
			name := b.cfg.Pools[i].Name
			if to := b.streamTarget(name); to != name {
				c.line("set-var(txn.pool) str("+to+")", is("txn.pool", name))
			}
		}
	}
	for i := range b.targets {
		t := &b.targets[i]
		if b.grouped(t) && t.tcp == stream {
			c.targets = append(c.targets, t)
		}
	}
	if len(c.targets) == 0 {
		// What has no pool was refused above.
		w.Line("use_backend pool.%[var(txn.pool)]")
		return
	}
	c.line("set-var(txn.set) var(txn.pool)", found("txn.pool"))
	c.line("set-var(txn.kind) "+c.text("txn.pool", "str", kindsMap), found("txn.pool"))
	c.priorities()
	c.ties()
	c.draw()
	c.inTurn()
	c.remember()
	c.line("set-var-fmt(txn.backend) pool.%[var(txn.pool)]", found("txn.pool")+" "+undecided())
	w.Line("use_backend %[var(txn.backend)] if " + found("txn.backend"))
}

func (c *chooser) line(action, condition string) {
	c.w.Line(c.rule + " " + action + " if " + condition)
}

func (c *chooser) text(variable, how, name string) string {
	return "var(" + variable + "),map_" + how + "(" + c.mapPath(name) + ")"
}

// Conditions.
func found(variable string) string     { return "{ var(" + variable + ") -m found }" }
func undecided() string                { return "!" + found("txn.backend") }
func is(variable, value string) string { return "{ var(" + variable + ") -m str " + value + " }" }

// open is true while a target of several groups has no backend.
func open() string { return found("txn.kind") + " " + undecided() }

// priorities takes more levels while there are fewer servers than the pool wants in use.
func (c *chooser) priorities() {
	for _, t := range c.targets {
		for level := range t.levels() - 1 {
			here := is("txn.set", t.set(level))
			used := t.at(level)
			for i, g := range used {
				sum := ""
				if i > 0 {
					sum = ",add(txn.up)"
				}
				c.line("set-var(txn.up) nbsrv("+t.backend(g)+")"+sum, here)
			}
			c.line("set-var(txn.set) str("+t.set(level+1)+")",
				fmt.Sprintf("%s { var(txn.up) -m int lt %d }", here, max(t.pool.MinActive, 1)))
		}
	}
}

// ties takes a client back to its group as long as something lives there, be it only a server that drains. Whether that
// is the client's own server can be known only in the backend: a client whose server is down while all others of its
// group drain is answered 503 until they are gone.
func (c *chooser) ties() {
	var tied []*target
	for _, t := range c.targets {
		here := is("txn.pool", t.name)
		key, _ := t.key()
		switch {
		case t.cookie() != nil:
			c.line("set-var(txn.sticky) req.cook("+groupCookieName(t.cookie())+")", here)
		case key != "":
			c.line("track-sc"+tableCounter+" "+key+" table "+groupsTable(t.pool), here)
			c.line("set-var(txn.sticky) sc_get_gpt0("+tableCounter+")", here)
		default:
			continue
		}
		tied = append(tied, t)
	}
	if len(tied) == 0 {
		return
	}
	c.line("set-var-fmt(txn.member) %[var(txn.pool)]/%[var(txn.sticky)]", found("txn.sticky"))
	c.line("set-var(txn.wish) "+c.text("txn.member", "str", membersMap), found("txn.sticky"))
	for _, t := range tied {
		for i := range t.groups {
			name := t.backend(&t.groups[i])
			// Free slots: 0 only if every server is down, -1 if there is no bound.
			c.line("set-var(txn.backend) str("+name+")", is("txn.wish", name)+" !{ connslots("+name+") eq 0 }")
		}
	}
}

// draw picks a group by weight.
func (c *chooser) draw() {
	var kinds []string
	for _, t := range c.targets {
		if kind := t.kind(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range kinds {
		if header, ok := strings.CutPrefix(kind, kindHeader); ok {
			// Requests without the header are equal to each other in nothing.
			c.line("set-var(txn.kind) str("+kindRandom+")", is("txn.kind", kind)+" !{ req.fhdr("+header+") -m found }")
		}
	}
	for round := range draws {
		c.line("set-var(txn.slot) "+splitDraw(), is("txn.kind", kindRandom)+" "+undecided())
		for _, kind := range kinds {
			if sample := kindSample(kind); sample != "" {
				c.line("set-var(txn.slot) "+splitHash(sample, round+1), is("txn.kind", kind)+" "+undecided())
			}
		}
		c.line("set-var-fmt(txn.slot) %[var(txn.set)]/%[var(txn.slot)]", open())
		c.line("set-var(txn.group) "+c.text("txn.slot", "beg", splitsMap), open())
		c.line("set-var(txn.backend) var(txn.group)", open()+" { var(txn.group),nbsrv gt 0 }")
	}
}

// kindSample is what a kind hashes.
func kindSample(kind string) string {
	switch kind {
	case kindRandom:
		return ""
	case kindSource:
		return "src"
	case kindPath:
		return "path"
	default:
		return "req.fhdr(" + kind[len(kindHeader):] + ")"
	}
}

// inTurn tries the groups one after the other. If none has servers the last one answers for all.
func (c *chooser) inTurn() {
	most := 0
	for _, t := range c.targets {
		most = max(most, len(t.groups))
	}
	for range most {
		c.line("set-var-fmt(txn.next) %[var(txn.set)]/%[var(txn.group)]", open())
		c.line("set-var(txn.group) "+c.text("txn.next", "str", ringMap), open())
		c.line("set-var(txn.backend) var(txn.group)", open()+" { var(txn.group),nbsrv gt 0 }")
	}
	c.line("set-var(txn.backend) var(txn.group)", open())
}

// remember ties a client without a cookie to the group that it got.
func (c *chooser) remember() {
	for _, t := range c.targets {
		if key, _ := t.key(); key != "" {
			c.line("sc-set-gpt0("+tableCounter+") var(txn.backend),map_str_int("+c.mapPath(idsMap)+")", is("txn.pool", t.name))
		}
	}
}
