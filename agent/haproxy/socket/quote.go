// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxWords is HAProxy's own limit for the words of one command.
	maxWords = 64
	// maxLine is below the smallest room for a command with the default tune.bufsize of 16384 bytes, of which
	// tune.maxrewrite (1024) may be reserved.
	maxLine = 15000
)

// ErrValue says that a value cannot be given to HAProxy: it was not sent.
var ErrValue = errors.New("value cannot be sent to HAProxy")

// word writes one argument so that HAProxy takes it as one, with the same bytes. Whatever might mean something is
// escaped: separators of words and commands, the escape itself, and "<", as "<<" at the end of a line starts a payload.
// An empty argument cannot be written, nor can control characters.
func word(s string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("%w: it is empty", ErrValue)
	}
	if err := printable(s); err != nil {
		return "", err
	}
	var b strings.Builder
	for i := range len(s) {
		if !plain(s[i]) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf ||
		strings.IndexByte("-_./:@,[]()=%+*", c) >= 0
}

// printable refuses control characters, those beyond ASCII too, and bytes that are no text.
func printable(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: it is not UTF-8", ErrValue)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
		return fmt.Errorf("%w: control character at byte %d", ErrValue, i)
	}
	return nil
}

// line joins arguments to one command line without its end.
func line(args ...string) (string, error) {
	if len(args) == 0 || len(args) > maxWords {
		return "", fmt.Errorf("%w: a command has 1 to %d words, not %d", ErrValue, maxWords, len(args))
	}
	words := make([]string, len(args))
	for i, arg := range args {
		var err error
		if words[i], err = word(arg); err != nil {
			return "", fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	text := strings.Join(words, " ")
	if len(text) > maxLine {
		return "", fmt.Errorf("%w: the command has %d bytes, the limit is %d", ErrValue, len(text), maxLine)
	}
	return text, nil
}

// payload is what follows a command line that ends with "<<": whole lines, ended by an empty one. Nothing in it can be
// escaped, so empty lines are refused.
func payload(lines ...string) (string, error) {
	var b strings.Builder
	for i, l := range lines {
		if l == "" {
			return "", fmt.Errorf("%w: line %d of the payload is empty", ErrValue, i+1)
		}
		if err := printable(l); err != nil {
			return "", fmt.Errorf("line %d of the payload: %w", i+1, err)
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("%w: the payload is empty", ErrValue)
	}
	if b.Len() > maxLine {
		return "", fmt.Errorf("%w: the payload has %d bytes, the limit is %d", ErrValue, b.Len(), maxLine)
	}
	return b.String(), nil
}

// qualified is backend/server. HAProxy splits it at the first slash.
func qualified(backend, server string) (string, error) {
	if backend == "" || server == "" || strings.Contains(backend, "/") || strings.Contains(server, "/") {
		return "", fmt.Errorf("%w: %q and %q are no names of a backend and a server", ErrValue, backend, server)
	}
	return backend + "/" + server, nil
}

// named is a file's name, of a map or a certificate. HAProxy reads a number sign or an at sign in front as something
// else, an asterisk or backslash as that of a transaction.
func named(kind, name string) error {
	if name == "" || strings.IndexByte(`#@*\`, name[0]) >= 0 {
		return fmt.Errorf("%w: %q is no name of a %s", ErrValue, name, kind)
	}
	return nil
}
