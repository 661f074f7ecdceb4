// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
	"time"
)

// TestArguments: what stands in a line for each kind of argument.
func TestArguments(t *testing.T) {
	for name, c := range map[string]struct {
		arg  Arg
		want string
	}{
		"raw":              {Raw("if { x }"), `if { x }`},
		"number":           {Int(-3), `-3`},
		"duration":         {Millis(1500*time.Microsecond + 1), `2ms`},
		"word":             {Word("a b#$\"\\"), `'a b#$"\'`},
		"quote":            {Word("it's"), `'it'\''s'`},
		"format":           {Format("100%[src]"), `'100%%[src]'`},
		"format of parts":  {Compose(Literal("%/"), Eval("path,bytes(4)"), Literal("'")), `'%%/%[path,bytes(4)]'\'''`},
		"call":             {Call("req.hdr(", "a),b", "),lower"), `'req.hdr('\''a),b'\''),lower'`},
		"quote in a call":  {Call("f(", "it's", ")"), `'f('\''it'\''\'\'''\''s'\'')'`},
		"bytes above 0x7f": {Word("ä\u2028\xff"), "'ä\u2028\xff'"},
	} {
		var w Writer
		w.Line("k", c.arg)
		if got := strings.TrimSuffix(strings.TrimPrefix(w.String(), "    k "), "\n"); got != c.want || w.Err() != nil {
			t.Errorf("%s: %s %v, want %s", name, got, w.Err(), c.want)
		}
	}
}

// TestRefused: what cannot be quoted is an error, which stays whatever is written behind it.
func TestRefused(t *testing.T) {
	for name, arg := range map[string]Arg{
		"empty": Word(""), "empty format": Format(""), "line break": Word("a\nb"), "carriage return": Format("a\rb"), "zero": Word("\x00"), "delete": Word("\x7f"),
		"call": Call("f(", "\n", ")"), "call of nothing": Call("f(", "", ")"), "long": Word(strings.Repeat("x", maxArgument+1)), "part": Compose(Literal("\x1b")),
	} {
		var part, w Writer
		part.Line("k", arg)
		part.Line("k", Word("fine"))
		w.Append(&part)
		if w.Err() == nil {
			t.Errorf("%s: no error, and %s", name, w.String())
		}
		if err := w.Err(); err != nil && strings.ContainsAny(err.Error(), "\n\x00\x1b") {
			t.Errorf("%s: the error has the character itself: %q", name, err)
		}
	}
}

// TestSections: sections stand apart.
func TestSections(t *testing.T) {
	var w, more Writer
	w.Section("global", "")
	w.Line("no log")
	w.Section("frontend", "listener.web")
	w.Line("acl x", append([]Arg{Raw("path --")}, Words("a", "b")...)...)
	more.Line("mode", Raw("http"))
	w.Append(&more)
	w.AppendText("# end\n")
	const want = "global\n    no log\n\nfrontend listener.web\n    acl x path -- 'a' 'b'\n    mode http\n# end\n"
	if w.String() != want {
		t.Errorf("got\n%swant\n%s", w.String(), want)
	}
}
