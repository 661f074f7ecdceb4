// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config writes HAProxy's configuration. It is the one place where a value becomes a part of a
// config text: every argument is quoted here or refused, whatever field it came from.
package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxArgument is the most bytes of one argument. HAProxy's own buffer of a line grows, so this only keeps a single
// value from taking the place of all others.
const maxArgument = 64 << 10

var errEmpty = errors.New("a value is empty, which cannot be configured")

// Arg is one argument of a line.
type Arg struct {
	text string
	err  error
}

// Raw is a text of this program's own, like a keyword or an ACL of constants: nothing that anybody else wrote.
func Raw(text string) Arg { return Arg{text: text} }

// Word is any value but the empty one, taken literally.
func Word(value string) Arg {
	quoted, err := quote(value)
	return Arg{text: quoted, err: err}
}

// Words are several values.
func Words(values ...string) []Arg {
	out := make([]Arg, 0, len(values))
	for _, value := range values {
		out = append(out, Word(value))
	}
	return out
}

// Format is any value but the empty one where HAProxy expects a format string, taken literally: nothing in it is evaluated.
func Format(value string) Arg { return Compose(Literal(value)) }

// Compose is a format string, put together of its parts.
func Compose(parts ...Part) Arg {
	var text strings.Builder
	for _, part := range parts {
		text.WriteString(string(part))
	}
	return Word(text.String())
}

// Part is a part of a format string.
type Part string

// Literal is any value, taken literally.
func Literal(value string) Part { return Part(strings.ReplaceAll(value, "%", "%%")) }

// Eval is a sample expression of this program's own.
func Eval(expression string) Part { return Part("%[" + expression + "]") }

// Call is a sample expression with any value as the argument in its parentheses; before and after are this program's own:
//
//	Call("req.hdr(", name, "),lower")
func Call(before, value, after string) Arg {
	// The parser of sample expressions takes quotes like that of lines does, which sees them first.
	inner, err := quote(value)
	if err != nil {
		return Arg{err: err}
	}
	return Word(before + inner + after)
}

// Int is a number.
func Int[N int | int32 | int64](n N) Arg { return Arg{text: strconv.FormatInt(int64(n), 10)} }

// Millis is a duration, rounded up to milliseconds.
func Millis(d time.Duration) Arg {
	return Arg{text: strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10) + "ms"}
}

// quote makes HAProxy's parser read exactly value. Within single quotes it interprets nothing.
func quote(value string) (string, error) {
	if value == "" {
		// HAProxy takes an empty argument for the end of the line.
		return "", errEmpty
	}
	if len(value) > maxArgument {
		return "", fmt.Errorf("a value has %d bytes; at most %d can be configured", len(value), maxArgument)
	}
	for i := range len(value) {
		if value[i] < ' ' && value[i] != '\t' || value[i] == 0x7f {
			return "", fmt.Errorf("%q has the control character %#02x, which cannot be configured", value, value[i])
		}
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'", nil
}

// Writer writes sections and lines. The zero value is ready to use.
type Writer struct {
	text strings.Builder
	err  error
}

// Section begins a section. kind and name are this program's own words; name may be empty.
func (w *Writer) Section(kind, name string) {
	if w.text.Len() > 0 {
		w.text.WriteByte('\n')
	}
	w.text.WriteString(kind)
	if name != "" {
		w.text.WriteByte(' ')
		w.text.WriteString(name)
	}
	w.text.WriteByte('\n')
}

// Line writes a line of the section; keyword is of one word or several, and this program's own.
func (w *Writer) Line(keyword string, args ...Arg) {
	w.text.WriteString("    ")
	w.text.WriteString(keyword)
	for _, arg := range args {
		if arg.err != nil && w.err == nil {
			w.err = arg.err
		}
		w.text.WriteByte(' ')
		w.text.WriteString(arg.text)
	}
	w.text.WriteByte('\n')
}

// Append adds what another writer wrote, and its error.
func (w *Writer) Append(other *Writer) {
	w.text.WriteString(other.text.String())
	if w.err == nil {
		w.err = other.err
	}
}

// AppendText adds what another writer wrote without an error.
func (w *Writer) AppendText(text string) { w.text.WriteString(text) }

// Err is about the first argument that was refused. What was written is of no use then.
func (w *Writer) Err() error { return w.err }

// String gives what was written.
func (w *Writer) String() string { return w.text.String() }
