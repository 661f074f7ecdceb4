// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// valuesPerLine keeps an ACL below the 64 words that a line may have; lines of one name are alternatives.
const valuesPerLine = 48

// acl writes an ACL that is true for each of the values.
func acl(w *config.Writer, name string, sample config.Arg, flags string, values ...string) {
	for len(values) > 0 {
		n := min(len(values), valuesPerLine)
		args := append([]config.Arg{sample, config.Raw(flags + " --")}, config.Words(values[:n]...)...)
		w.Line("acl "+name, args...)
		values = values[n:]
	}
}

// conditional writes the k-th rule that asks for more than a hostname and a path. The first that is true wins, unless the
// rule that the maps found comes before it.
func (b *builder) conditional(w *config.Writer, k int, rule *model.Rule) {
	conditions := []string{
		"!{ var(txn.special) -m found }",
		fmt.Sprintf("{ var(txn.bound) -m int gt %d }", k),
	}
	n := 0
	named := func(write func(name string)) {
		name := fmt.Sprintf("rule.%d.%d", k, n)
		n++
		write(name)
		conditions = append(conditions, name)
	}
	suffix, wildcard := strings.CutPrefix(rule.Hostname, "*")
	switch {
	case wildcard:
		named(func(name string) { acl(w, name, config.Raw("var(txn.host)"), "-m end", suffix) })
	case rule.Hostname != "":
		named(func(name string) { acl(w, name, config.Raw("var(txn.host)"), "-m str", rule.Hostname) })
	}
	if path := rule.Match.Path; path != nil && !(path.Type == model.PathPrefix && prefixOf(path) == "") {
		named(func(name string) { pathACL(w, name, path) })
	}
	if len(rule.Match.Methods) > 0 {
		named(func(name string) { acl(w, name, config.Raw("method"), "-m str", rule.Match.Methods...) })
	}
	for _, header := range rule.Match.Headers {
		named(func(name string) { valueACL(w, name, config.Call("req.fhdr(", header.Name, ")"), header) })
	}
	for _, parameter := range rule.Match.Query {
		named(func(name string) { queryACL(w, name, parameter) })
	}
	w.Line(fmt.Sprintf("http-request set-var(txn.special) str(%s/%d/0) if %s", rule.Route.Name, rule.Index, strings.Join(conditions, " ")))
}

func pathACL(w *config.Writer, name string, path *model.PathMatch) {
	switch path.Type {
	case model.PathExact:
		acl(w, name, config.Raw("var(txn.path)"), "-m str", path.Value)
	case model.PathRegex:
		acl(w, name, config.Raw("var(txn.path)"), "-m reg", path.Value)
	default:
		acl(w, name, config.Raw("var(txn.path),concat(/)"), "-m beg", prefixOf(path)+"/")
	}
}

func valueACL(w *config.Writer, name string, sample config.Arg, value model.ValueMatch) {
	switch {
	case value.Type == model.ValueRegex:
		acl(w, name, sample, "-m reg", value.Value)
	case value.Type == model.ValueExact && value.Value != "":
		acl(w, name, sample, "-m str", value.Value)
	case value.Type == model.ValueExact:
		w.Line("acl "+name, sample, config.Raw("-m len 0"))
	default:
		w.Line("acl "+name, sample, config.Raw("-m found"))
	}
}

// queryACL compares decoded values. A parameter may be present without one.
func queryACL(w *config.Writer, name string, parameter model.ValueMatch) {
	if parameter.Type == model.ValuePresent {
		acl(w, name, config.Raw("query"), "-m reg", "(^|&)"+regexp.QuoteMeta(parameter.Name)+"(=|&|$)")
		return
	}
	valueACL(w, name, config.Call("url_param(", parameter.Name, "),url_dec(1)"), parameter)
}

// usable leaves out the rules of routes that cannot be matched: those whose hostnames or matches are invalid, and those
// with regular expressions in a route that HAProxy did not take. Other rules of a refused route stay, to keep what the
// route would have protected out of the reach of less specific ones.
func (b *builder) usable(ordered []model.Rule) []model.Rule {
	out := ordered[:0]
	for _, rule := range ordered {
		field := b.routeField[rule.Route]
		if b.unmatchable[field] || b.options.Without[field] && hasRegex(rule.Match) {
			continue
		}
		out = append(out, rule)
	}
	return out
}

func hasRegex(m model.Match) bool {
	for _, values := range [][]model.ValueMatch{m.Headers, m.Query} {
		for _, value := range values {
			if value.Type == model.ValueRegex {
				return true
			}
		}
	}
	return m.Path != nil && m.Path.Type == model.PathRegex
}
