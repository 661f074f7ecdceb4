// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"errors"
	"strings"
	"testing"
)

// words reads a line as HAProxy does: commands end at semicolons, words at spaces, a backslash takes the next byte as it is.
func words(line string) (words []string, commands int) {
	var b strings.Builder
	commands = 1
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == ' ' || c == '\t':
			words = append(words, b.String())
			b.Reset()
		case c == ';' || c == '\n':
			commands++
		default:
			b.WriteByte(c)
		}
	}
	return append(words, b.String()), commands
}

func FuzzLine(f *testing.F) {
	for _, s := range []string{"a b", `\`, ";", "<<", "x<<", "<<EOF", "\n", "", "#", "é", `a\ b`, "\x80"} {
		f.Add(s, "second")
		f.Add("first", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := line("command", a, b)
		if err != nil {
			if !errors.Is(err, ErrValue) {
				t.Fatal(err)
			}
			return
		}
		got, commands := words(text)
		if len(got) != 3 || got[1] != a || got[2] != b || commands != 1 {
			t.Errorf("%q is read as %q in %d commands, want %q and %q", text, got, commands, a, b)
		}
		if strings.Contains(text, "<<") {
			t.Errorf("%q may start a payload", text)
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add("a b", "c")
	f.Add("", "\n")
	f.Add(`\`, " ")
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := payload(a, b)
		if err != nil {
			if !errors.Is(err, ErrValue) {
				t.Fatal(err)
			}
			return
		}
		if lines := strings.Split(text, "\n"); len(lines) != 3 || lines[0] != a || lines[1] != b || a == "" || b == "" {
			t.Errorf("%q of %q and %q", text, a, b)
		}
	})
}

// FuzzAnswers has the parsers read anything: they must not fail in other ways than by an error.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"1\n# be_name srv_name\nb s\n", "# pxname,svname,\nb,\"s\n", "Name: HAProxy\nPid: 1\n", "0x1 k v\n0x2\n", "# table: b, type: string, size:1, used:1\n0x1: key=a\\ b use=0 exp=1\n",
		"#<PID> <type> <reloads> <uptime> <version>\n1 master 0 [failed: 0] 0d 2.6\n# workers\n2 worker 0 0d 2.6\n# old workers\n", "Status: Used\nnotBefore: Nov 23 09:56:45 2026 GMT\n",
		"# /list\n/cert:1 a !b\n", "0x1: be=b srv=s\n", "\n> a\n> ", "0x1: key=\\", "\\", " ", "transaction created for CA x!",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err1 := parseServersState(s)
		_, err2 := parseStats(s)
		_, err3 := parseInfo(s)
		_, err4 := parseMap(s)
		_, err5 := parseTables(s)
		_, err6 := parseProcs(s)
		_, err7 := parseCrtList(s)
		_, err8 := parseCert(s)
		_, err9 := split(s, 1)
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9} {
			if err != nil && !errors.Is(err, ErrProtocol) {
				t.Errorf("parser %d: %v", i+1, err)
			}
		}
		parseSessions(s)
		parseNames(s)
		otherTransaction(s)
		if err := refuse("command", s); err == nil {
			t.Error("no error")
		}
	})
}

func TestSplit(t *testing.T) {
	for name, c := range map[string]struct {
		out  string
		n    int
		want []string
	}{
		"2.6 with a payload":   {"\n> + + + \n> 0x1 a b\n\n> ", 2, []string{"", "0x1 a b\n"}},
		"3.2 with a payload":   {"\n> \n> 0x1 a b\n\n> ", 2, []string{"", "0x1 a b\n"}},
		"no empty line at end": {"\n> Server deleted.\n> New\n\n> ", 2, []string{"Server deleted.", "New\n"}},
		"cut off":              {"\n> New server", 1, nil},
		"one is missing":       {"\n> New server\n> ", 2, nil},
		"nothing":              {"", 1, nil},
	} {
		got, err := split(c.out, c.n)
		if (err != nil) != (c.want == nil) || strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServing has the processes after a reload that failed, as 3.2 and 2.6 list them.
func TestServing(t *testing.T) {
	const head = "#<PID> <type> <reloads> <uptime> <version>\n10 master 2 [failed: 1] 0d00h00m05s 3.2.26-1\n# workers\n"
	for name, out := range map[string]string{
		"3.2": head + "# old workers\n11 worker 2 0d00h00m01s 3.2.26-1\n12 worker 1 0d00h00m01s 3.2.26-1\n",
		"2.6": head + "12 worker 1 0d00h00m01s 2.6.12\n# old workers\n11 worker 2 0d00h00m01s 2.6.12\n# programs\n",
	} {
		p, err := parseProcs(out)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Serving(); !ok || got.PID != 12 || p.FailedReloads != 1 || p.Master.Reloads != 2 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
