// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/model"
	proxy "github.com/fairlead/fairlead/test/haproxy"
)

// hostile are values that would be something else to a parser that sees them without quotes.
var hostile = []string{
	"x", "/x", "a'b", "'", "''", `"`, `\`, `\'`, `a\`, "/a'b", "/'}{", "}", "{", "{ always_true }", "#", "# x", "a # b", "$HOME", "${HOME}", `"${HOME}"`, "%[src]", "%%", "%", "%{+Q}o",
	"a b", " a", "a ", "a\tb", "a\nb", "a\r\nuser evil", "\n    bind :1", "\x00", "\x7f", "\x80", "ä", "\u2028", "\ufeff", "if TRUE", "a if { always_true }", "or", "unless",
	"--", "-m", "-f /etc/passwd", "-i", "!x", ")", "a),lower", "a,b", "],", "]", "%[", "(", "(a)", "[a]", `\Q`, `\E`, "*", "*.", ".", "..", "../../etc/passwd", "/..", "a/b", "a:b", "::1", "0", "-1", "1",
	"a;b", "a|b", "a&b", "<<", "unix@/tmp/x", "fd@1", "@1", "GET / HTTP/1.1\\r\\nX: y", "str(x)", "var(txn.pool)", "100%", "a=b", "?", "/a?b", "https://x.test", "x.test", "xn--x.test", "X-Evil", "10.0.0.0/8",
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("/a", 400), strings.Repeat("'", 500), strings.Repeat("%", 500),
}

// strings of a model: where each is, and the string itself.
type place struct {
	name  string
	value *string
}

// places finds all strings of a value, whatever type they have.
func places(v reflect.Value, name string) []place {
	var out []place
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			out = places(v.Elem(), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			out = append(out, places(v.Field(i), name+"."+v.Type().Field(i).Name)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, places(v.Index(i), fmt.Sprintf("%s[%d]", name, i))...)
		}
	case reflect.String:
		out = append(out, place{name, v.Addr().Convert(reflect.TypeFor[*string]()).Interface().(*string)})
	}
	return out
}

// line is a directive as HAProxy's parser would see it.
type line struct{ words []string }

var errQuote = errors.New("a quote is not closed")

// tokenize is the grammar of HAProxy's manual, section 2.2, written anew: words, quotes of two kinds, backslashes, comments.
func tokenize(text string) ([]line, error) {
	var lines []line
	for raw := range strings.SplitSeq(text, "\n") {
		words, err := split(raw)
		if err != nil {
			return nil, fmt.Errorf("%w in %q", err, raw)
		}
		if len(words) > 0 {
			lines = append(lines, line{words})
		}
	}
	return lines, nil
}

func split(raw string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case ' ', '\t':
			end()
		case '#':
			end()
			return words, nil
		case '\'':
			begun = true
			n := strings.IndexByte(raw[i+1:], '\'')
			if n < 0 {
				return nil, errQuote
			}
			word.WriteString(raw[i+1 : i+1+n])
			i += n + 1
		case '"':
			begun = true
			n := strings.IndexByte(raw[i+1:], '"')
			if n < 0 {
				return nil, errQuote
			}
			// Backslashes and variables would count in here.
			if strings.ContainsAny(raw[i+1:i+1+n], `\$`) {
				return nil, fmt.Errorf("something is evaluated in double quotes")
			}
			word.WriteString(raw[i+1 : i+1+n])
			i += n + 1
		case '\\':
			begun = true
			if i++; i == len(raw) {
				return nil, fmt.Errorf("a line goes on with the next")
			}
			word.WriteByte(raw[i])
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	end()
	return words, nil
}

// shape is what directives there are, without their values: section, keyword and number of words, sorted.
func shape(lines []line) []string {
	var out []string
	section := ""
	for _, l := range lines {
		keyword := l.words[0]
		switch keyword {
		case "global", "defaults", "peers", "userlist", "frontend", "backend":
			section = keyword
		case "http-request", "http-response", "http-after-response", "tcp-request", "http-check", "option", "timeout":
			keyword += " " + l.words[1]
		}
		out = append(out, fmt.Sprintf("%s: %s of %d", section, keyword, len(l.words)))
	}
	slices.Sort(out)
	return out
}

// bench builds the same model again and again with one string replaced.
type bench struct {
	cfg     *model.Config
	secrets haproxy.Secrets
	places  []place
	// harmless is the shape of the model as it is, and kinds its directives and what a refusal may bring beside them.
	harmless []string
	kinds    map[string]bool
}

var buildOptions = haproxy.Options{Dir: "/run/fairlead", Version: haproxy.Version{Major: 3, Minor: 2}, Self: "shop-0"}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{kinds: map[string]bool{}}
	b.cfg, b.secrets = whole(t)
	// So that what one pool and one listener do for streams does not hang on the other's strings.
	b.cfg.Listeners[2].Pool = ""
	b.cfg.Listeners[0].Redirect.Host, b.cfg.Listeners[0].Redirect.Path = "x.test", "/x"
	b.cfg.Routes[1].Action.Redirect.Scheme = "http"
	b.places = places(reflect.ValueOf(b.cfg).Elem(), "")
	s, err := haproxy.Build(b.cfg, b.secrets, buildOptions)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := tokenize(string(s.Text(s.Servers(endpoints))))
	if err != nil {
		t.Fatal(err)
	}
	b.harmless = shape(lines)
	for _, one := range b.harmless {
		b.kinds[kind(one)] = true
	}
	// A member whose monitor cannot be had is asked for a connection instead; without a pool of several backends most requests
	// are done early.
	for _, one := range []string{"frontend: http-request allow", "frontend: http-request deny", "frontend: tcp-request content", "backend: option tcp-check", "backend: tcp-check"} {
		b.kinds[one] = true
	}
	return b
}

// with builds the model with a string in a place.
func (b *bench) with(t testing.TB, at place, value string) *haproxy.Structure {
	t.Helper()
	before := *at.value
	*at.value = value
	defer func() { *at.value = before }()
	s, err := haproxy.Build(b.cfg, b.secrets, buildOptions)
	if err != nil {
		if errors.Is(err, haproxy.ErrVersion) {
			return nil
		}
		t.Fatal(err)
	}
	return s
}

// check fails unless the structure with a value has the directives that it has with a harmless one, or part of it is refused.
func (b *bench) check(t testing.TB, at place, value string) {
	t.Helper()
	s := b.with(t, at, value)
	if s == nil {
		return
	}
	lines, err := tokenize(string(s.Text(s.Servers(endpoints))))
	if err != nil {
		t.Fatalf("%s = %q: %v", at.name, value, err)
	}
	got := shape(lines)
	if len(s.Refusals) == 0 && !changesShape(at, value) && !slices.Equal(got, b.harmless) {
		t.Fatalf("%s = %q changes the directives:\n%s", at.name, value, difference(b.harmless, got))
	}
	// Whatever is left out, nothing may come that is of no known kind. Words of conditions come and go with refused parts.
	if len(s.Refusals) > 0 {
		for _, one := range got {
			if !b.kinds[kind(one)] {
				t.Fatalf("%s = %q brings the directive %s", at.name, value, one)
			}
		}
	}
	for file, entries := range s.Maps {
		text := strings.TrimSuffix(string(haproxy.MapText(entries)), "\n")
		if rows := strings.Split(text, "\n"); len(entries) > 0 && len(rows) != len(entries) {
			t.Fatalf("%s = %q: %d rows of %d entries in %s", at.name, value, len(rows), len(entries), file)
		}
		for _, entry := range entries {
			if len(strings.Fields(entry.Key+" "+entry.Value)) != 2 || strings.HasPrefix(entry.Key, "#") {
				t.Fatalf("%s = %q: the entry %+v in %s", at.name, value, entry, file)
			}
		}
		b.inside(t, at, value, file)
	}
	for file := range s.Files {
		b.inside(t, at, value, file)
	}
	for file := range s.Certificates {
		b.inside(t, at, value, file)
	}
}

// kind is a part of a shape without the number of words.
func kind(one string) string { return one[:strings.LastIndex(one, " of ")] }

func (b *bench) inside(t testing.TB, at place, value, file string) {
	t.Helper()
	if filepath.Clean(file) != file || !strings.HasPrefix(file, buildOptions.Dir+"/") || strings.ContainsAny(file, " \n\x00") {
		t.Fatalf("%s = %q makes the file %q", at.name, value, file)
	}
}

// changesShape reports whether a value that is valid means other directives: enumerations, what may be empty, prefixes of
// everything, and hostnames, which a route and its listener must share.
func changesShape(at place, value string) bool {
	return value == "" || *at.value == "" || strings.Trim(value, "/") == "" || value == "*" ||
		strings.HasSuffix(at.name, ".Protocol") || strings.HasSuffix(at.name, ".Type") || strings.HasSuffix(at.name, ".Algorithm") || strings.HasSuffix(at.name, ".AccessLog") ||
		strings.HasSuffix(at.name, ".Key") || strings.HasSuffix(at.name, "On[0]") || strings.HasSuffix(at.name, "On[1]") || strings.Contains(at.name, "Version") ||
		strings.Contains(at.name, "Hostnames")
}

// difference tells what is in one sorted list only.
func difference(want, got []string) string {
	count := map[string]int{}
	for _, one := range want {
		count[one]--
	}
	for _, one := range got {
		count[one]++
	}
	var out []string
	for one, n := range count {
		if n != 0 {
			out = append(out, fmt.Sprintf("%+d %s", n, one))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// FuzzHostileStrings puts any string into any field of a model: it is a value, or is refused, and never a directive.
func FuzzHostileStrings(f *testing.F) {
	b := newBench(f)
	for i, value := range hostile {
		f.Add(uint16(i), value) //nolint:gosec // few
	}
	f.Fuzz(func(t *testing.T, where uint16, value string) {
		b.check(t, b.places[int(where)%len(b.places)], value)
	})
}

// TestHostileStrings puts hostile strings into each field, a quarter of them into each; the fuzz target has no such bound.
func TestHostileStrings(t *testing.T) {
	b := newBench(t)
	if len(b.places) < 120 {
		t.Fatalf("%d strings in the model that should have all", len(b.places))
	}
	for i, at := range b.places {
		for j := i % 4; j < len(hostile); j += 4 {
			b.check(t, at, hostile[j])
		}
	}
}

// TestHAProxyTakesHostileStrings gives HAProxy models in which every field has a hostile string that the model allows there.
func TestHAProxyTakesHostileStrings(t *testing.T) {
	const rounds = 12
	b := newBench(t)
	allowed := make([][]string, len(b.places))
	for i, at := range b.places {
		// What regular expressions and ciphers there are, HAProxy alone knows.
		if strings.Contains(at.name, "Cipher") || isRegex(at) {
			continue
		}
		before := *at.value
		for _, value := range hostile {
			if *at.value = value; !changesShape(at, value) && before != "" && len(model.Validate(b.cfg)) == 0 {
				allowed[i] = append(allowed[i], value)
			}
		}
		*at.value = before
	}
	versions := proxy.Versions(t)
	for round := range rounds {
		for i, at := range b.places {
			if n := len(allowed[i]); n > 0 {
				*at.value = allowed[i][(round*7+i)%n]
			}
		}
		for _, v := range versions {
			options := buildOptions
			options.Dir, options.Version = v.Dir(t), release(v)
			s, err := haproxy.Build(b.cfg, b.secrets, options)
			if err != nil {
				t.Fatal(err)
			}
			mustCheck(t, v, store(t, s, options.Dir))
		}
	}
}

func isRegex(at place) bool {
	return at.name == ".Routes[0].Matches[0].Headers[0].Value" || at.name == ".Routes[2].Matches[0].Path.Value" || strings.HasSuffix(at.name, "BodyRegex")
}
