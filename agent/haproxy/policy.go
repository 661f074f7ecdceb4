// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// rateTableSize is how many keys are counted at a time; beyond it the oldest are forgotten.
const rateTableSize = "100k"

// rateTable names the table in which a replica counts a route's requests.
func rateTable(r *model.Route, peer string) string { return "rate." + r.Name + "." + peer }

// rateTables writes the tables of a route: one for each replica, which it alone counts in and all others read. In a shared
// one, replicas would overwrite each other's counts.
func (b *builder) rateTables(w *config.Writer, r *model.Route) {
	kind := "binary len 20"
	if r.RateLimit.Key == model.RateBySource {
		kind = "ipv6"
	}
	per := r.RateLimit.Per
	for _, peer := range b.peers() {
		w.Section("backend", rateTable(r, peer.Name))
		w.Line("stick-table type "+kind, config.Raw("size "+rateTableSize), config.Raw("expire"), config.Millis(2*per.Std()),
			config.Raw("store gpc0_rate("+millis(per)+"ms) peers "+peersSection))
	}
}

// rateLimit answers 429 where all replicas together let as many requests through as may. What is refused does not count,
// so a client that goes on asking gets its share.
func (b *builder) rateLimit(w *config.Writer, r *model.Route) {
	condition := config.Raw(when(r)[1:])
	own := rateTable(r, b.self())
	switch r.RateLimit.Key {
	case model.RateByHeader:
		// A hash is as long for every value.
		w.Line("http-request set-var(txn.key) str(-),sha1", condition)
		w.Line("http-request set-var(txn.key)", config.Call("req.fhdr(", r.RateLimit.Header, "),sha1"), condition)
	case model.RateByPath:
		w.Line("http-request set-var(txn.key) var(txn.path),sha1", condition)
	default:
		w.Line("http-request set-var(txn.key) src", condition)
	}
	w.Line("http-request track-sc0 var(txn.key) table "+own, condition)
	w.Line("http-request set-var(txn.rate) sc0_gpc0_rate("+own+")", condition)
	for _, peer := range b.peers() {
		if peer.Name != b.self() {
			w.Line("http-request set-var(txn.rate) var(txn.key),table_gpc0_rate("+rateTable(r, peer.Name)+"),add(txn.rate)", condition)
		}
	}
	seconds := int64((r.RateLimit.Per.Std() + time.Second - 1) / time.Second)
	w.Line("http-request deny deny_status 429 hdr Retry-After", config.Int(seconds), condition,
		config.Raw(fmt.Sprintf("{ var(txn.rate) -m int ge %d }", r.RateLimit.Requests)))
	w.Line("http-request sc-inc-gpc0(0)", condition)
}

// anyOrigin reports whether every origin is allowed.
func anyOrigin(c *model.CORS) bool { return c.AllowOrigins[0] == "*" }

// corsMarks marks every answer of the route, whoever gives it, so that pages see why they are refused. What members say
// about it does not count.
func corsMarks(w *config.Writer, r *model.Route) {
	c := r.CORS
	condition, allowed := when(r)[1:], when(r)[1:]+" { var(txn.origin) -m found }"
	switch {
	case anyOrigin(c) && c.AllowCredentials:
		// Browsers take no * beside credentials.
		w.Line("http-request set-var(txn.origin) req.fhdr(origin) " + condition)
	case anyOrigin(c):
		w.Line("http-request set-var(txn.origin) str(*) " + condition)
	default:
		name := "route." + r.Name + ".origin"
		acl(w, name, config.Raw("req.fhdr(origin)"), "-m str", c.AllowOrigins...)
		w.Line("http-request set-var(txn.origin) req.fhdr(origin) " + condition + " " + name)
	}
	w.Line("http-after-response del-header Access-Control-Allow-Origin", config.Raw(condition))
	w.Line("http-after-response del-header Access-Control-Allow-Credentials", config.Raw(condition))
	w.Line("http-after-response set-header Access-Control-Allow-Origin %[var(txn.origin)]", config.Raw(allowed))
	if c.AllowCredentials {
		w.Line("http-after-response set-header Access-Control-Allow-Credentials true", config.Raw(allowed))
	}
	if len(c.ExposeHeaders) > 0 {
		w.Line("http-after-response set-header Access-Control-Expose-Headers", config.Format(strings.Join(c.ExposeHeaders, ", ")), config.Raw(allowed))
	}
	if !anyOrigin(c) || c.AllowCredentials {
		w.Line("http-after-response add-header Vary Origin", config.Raw(condition))
	}
}

// preflight answers what browsers ask before the request itself.
func preflight(w *config.Writer, r *model.Route) {
	c := r.CORS
	asks := " { method OPTIONS } { req.hdr(origin) -m found } { req.hdr(access-control-request-method) -m found }"
	var args []config.Arg
	add := func(header, value string) {
		if value != "" {
			args = append(args, config.Raw("hdr "+header), config.Format(value))
		}
	}
	add("Access-Control-Allow-Methods", strings.Join(c.AllowMethods, ", "))
	add("Access-Control-Allow-Headers", strings.Join(c.AllowHeaders, ", "))
	if c.MaxAge > 0 {
		add("Access-Control-Max-Age", strconv.FormatInt(int64(c.MaxAge.Std()/time.Second), 10))
	}
	w.Line("http-request return status 204", append(args, config.Raw(when(r)[1:]+" { var(txn.origin) -m found }"+asks))...)
	w.Line("http-request return status 204", config.Raw(when(r)[1:]+asks))
}

const (
	// keyUsers is the key of a Secret of users.
	keyUsers       = "auth"
	reasonBadUsers = "InvalidUsers"
	maxUsers       = 10_000
)

// hashes are the forms of crypt(3) that HAProxy's C library knows, as far as checking one takes a fraction of a second:
// it is done for each request, and by a thread that has others to serve.
var hashes = regexp.MustCompile(`^(` +
	`\$1\$[./0-9A-Za-z]{1,8}\$[./0-9A-Za-z]{22}` +
	`|\$5\$(rounds=[1-9][0-9]{3,4}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{43}` +
	`|\$6\$(rounds=[1-9][0-9]{3,4}\$)?[./0-9A-Za-z]{1,16}\$[./0-9A-Za-z]{86}` +
	`|\$2[aby]\$(0[4-9]|1[0-2])\$[./0-9A-Za-z]{53}` +
	`|\$y\$j[5-9]T\$[./0-9A-Za-z]{0,86}\$[./0-9A-Za-z]{43}` +
	`)$`)

// users writes the list of a route's users; false if it has none. No message has a line's content.
func (b *builder) users(w *config.Writer, field string, r *model.Route) bool {
	field += ".basicAuth.users"
	data, ok := b.secrets[r.BasicAuth.Users]
	if !ok {
		b.refuse(field, reasonBadUsers, fmt.Sprintf("secret %s: it does not exist or may not be read", r.BasicAuth.Users))
		return false
	}
	w.Section("userlist", "route."+r.Name)
	seen := map[string]bool{}
	line := 0
	for text := range strings.SplitSeq(string(data[keyUsers]), "\n") {
		line++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(text, ":")
		var one config.Writer
		one.Line("user", config.Word(name), config.Raw("password"), config.Word(hash))
		if !hashes.MatchString(hash) || one.Err() != nil || seen[name] || len(seen) == maxUsers {
			b.refuse(field, reasonBadUsers, fmt.Sprintf("secret %s: line %d of its %s is no new user with a hash of a form and cost that is supported; "+
				"it is left out", r.BasicAuth.Users, line, keyUsers))
			continue
		}
		seen[name] = true
		w.Append(&one)
	}
	if len(seen) == 0 {
		b.refuse(field, reasonBadUsers, fmt.Sprintf("secret %s: it has no user", r.BasicAuth.Users))
	}
	return len(seen) > 0
}
