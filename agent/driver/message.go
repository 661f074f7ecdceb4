// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/fairlead/fairlead/agent/haproxy"
)

const (
	// maxText is the most bytes of a message in a status.
	maxText = 400
	// minSecret is the length from which on a part of a Secret is looked for in messages.
	minSecret = 4
)

var errUnsteady = errors.New("its answers differ")

var (
	// noise is what HAProxy puts before a message.
	noise = regexp.MustCompile(`^\[[A-Z]+\]\s*(\([0-9]+\))?\s*:\s*(config\s*:\s*)?`)
	// place is a file and line, which mean nothing to a reader: the files are not the reader's.
	place = regexp.MustCompile(`(parsing )?\[?/[^\s\]':]*(:[0-9]+)?\]?( ?: )?`)
)

// clean makes a sentence of what HAProxy says about a configuration: its alerts without places, in which all parts of
// Secrets are blacked out.
func clean(output string, secrets haproxy.Secrets) string {
	output = withoutSecrets(output, secrets)
	var parts []string
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "[ALERT]") {
			continue
		}
		line = strings.TrimSpace(place.ReplaceAllString(noise.ReplaceAllString(line, ""), ""))
		if summary(line) || slices.Contains(parts, line) {
			continue
		}
		parts = append(parts, line)
	}
	return bounded(strings.Join(parts, "; "))
}

// summary is for lines that tell no more than that there were others.
func summary(line string) bool {
	return line == "" || strings.HasPrefix(line, "Error(s) found in configuration file") ||
		strings.HasPrefix(line, "Fatal errors found in configuration") || strings.HasPrefix(line, "config : Fatal") ||
		strings.HasPrefix(line, "Proxy '") && strings.HasSuffix(line, "': unable to find required")
}

func withoutSecrets(text string, secrets haproxy.Secrets) string {
	for _, data := range secrets {
		for _, value := range data {
			for _, part := range bytes.FieldsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == ':' }) {
				if len(part) >= minSecret {
					text = strings.ReplaceAll(text, string(part), "***")
				}
			}
		}
	}
	return text
}

// bounded cuts a text, and takes out what a status or terminal cannot show.
func bounded(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-3], "") + "..."
}
