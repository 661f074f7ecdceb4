// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

const (
	// tableSize bounds the clients that a pool remembers; beyond it the oldest are forgotten. One takes about 200 bytes.
	tableSize = "200k"
	// tableExpire is for persistence without a timeout.
	tableExpire = time.Hour
	// tableCounter is the slot of counters by which a stream knows its entry in the table of groups.
	tableCounter = "2"
)

// cookie gives the persistence by cookie, or nil. A stream has no cookies.
func (t *target) cookie() *model.Persistence {
	if p := t.pool.Persistence; p != nil && p.Type == model.PersistCookie && !t.tcp && isToken(p.Name) {
		return p
	}
	return nil
}

// key gives the expression by which tables know a client, and the type of their keys; empty without such persistence. A
// header is hashed: so its length does not matter, and no token that it holds gets into a table.
func (t *target) key() (expression, kind string) {
	p := t.pool.Persistence
	switch {
	case p != nil && p.Type == model.PersistSource:
		return "src", "ipv6"
	case p != nil && p.Type == model.PersistHeader && !t.tcp && isToken(p.Name):
		return "req.fhdr(" + p.Name + "),sha1", "binary len 20"
	default:
		return "", ""
	}
}

// persistence writes how clients come back to a server of the backend. Which backend they come back to, selection says.
func (b *builder) persistence(w *config.Writer, t *target, g *group) {
	p := t.pool.Persistence
	if p == nil {
		return
	}
	if key, kind := t.key(); key != "" {
		first := backendName(t.first, t.groups, g)
		if t.first == t.name {
			w.Line("stick-table", config.Raw(fmt.Sprintf("type %s size %s expire %s peers %s", kind, tableSize, tableTimeout(p), peersSection)))
		}
		w.Line("stick on " + key + " table " + first)
		return
	}
	if t.cookie() == nil {
		if t.retries == nil && g == &t.groups[0] {
			b.refuse(poolField(t.pool)+".persistence", "NotPossible",
				"a stream has neither cookies nor headers, and their names have letters, digits, - and _ only; clients are not tied to members")
		}
		return
	}
	args := []config.Arg{config.Raw(p.Name + " insert indirect nocache dynamic httponly")}
	if p.Timeout > 0 {
		// The date within the cookie ends it for a client that keeps it longer than it was told.
		args = append(args, config.Raw("maxidle "+seconds(p.Timeout)+"s"), config.Raw("attr Max-Age="+seconds(p.Timeout)))
	}
	w.Line("cookie", args...)
	w.Line("dynamic-cookie-key", config.Word(b.cfg.Name+"/"+t.pool.Name))
	if len(t.groups) > 1 {
		groupCookie(w, t, g)
	}
}

// groupCookieName is the cookie beside the one of the server: it names the group, which is chosen before the backend that
// can read the other.
func groupCookieName(p *model.Persistence) string { return p.Name + "-group" }

func groupCookie(w *config.Writer, t *target, g *group) {
	p := t.pool.Persistence
	value := groupCookieName(p) + "=" + g.cookieValue() + "; path=/; HttpOnly"
	unless := ""
	if p.Timeout > 0 {
		// The time begins again with each answer.
		value += "; Max-Age=" + seconds(p.Timeout)
	} else {
		unless = "unless { var(txn.sticky) -m str " + g.cookieValue() + " }"
	}
	args := []config.Arg{config.Format(value)}
	if unless != "" {
		args = append(args, config.Raw(unless))
	}
	w.Line("http-response add-header Set-Cookie", args...)
	w.Line("http-response add-header Cache-Control private", args[1:]...)
}

// tables writes the table in which clients without cookies keep their group: the number of the group by the client. Like
// all tables it is shared with the replicas, and with the next process after a reload (not by HAProxy 2.6.12, which
// forgets what no other replica knows).
func (b *builder) tables(w *config.Writer, t *target) {
	_, kind := t.key()
	if kind == "" || len(t.groups) == 1 {
		return
	}
	w.Section("backend", groupsTable(t.pool))
	w.Line("stick-table", config.Raw(fmt.Sprintf("type %s size %s expire %s store gpt0 peers %s",
		kind, tableSize, tableTimeout(t.pool.Persistence), peersSection)))
}

func groupsTable(pool *model.Pool) string { return "groups." + pool.Name }

func tableTimeout(p *model.Persistence) string {
	timeout := p.Timeout.Std()
	if timeout <= 0 {
		timeout = tableExpire
	}
	return strconv.FormatInt(max(1, timeout.Milliseconds()), 10) + "ms"
}

func seconds(d model.Duration) string {
	return strconv.FormatInt(max(1, int64((d.Std()+time.Second-1)/time.Second)), 10)
}
