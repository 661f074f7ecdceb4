// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const defaultKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// mirror is where this machine gets Debian packages, and the path of the keys that sign them.
type mirror struct {
	uri     string
	keyring string
}

// aptSource is one stanza or line of apt's sources.
type aptSource struct {
	types, uris, suites, components []string
	signedBy                        string
	disabled                        bool
}

// A release of Debian itself. Others that offer packages for a release, and Debian's own security updates, name
// their suites otherwise.
var debianSuite = regexp.MustCompile(`^(stable|testing|unstable|sid|bullseye|bookworm|trixie|forky|duke)$`)

// findMirror reads the sources in apt's folder.
func findMirror(dir string) (mirror, error) {
	var sources []aptSource
	for _, pattern := range []string{"sources.list", "sources.list.d/*.list", "sources.list.d/*.sources"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return mirror{}, err
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return mirror{}, err
			}
			parse := parseList
			if strings.HasSuffix(path, ".sources") {
				parse = parseStanzas
			}
			sources = append(sources, parse(string(data))...)
		}
	}
	for _, s := range sources {
		if uri, ok := s.debian(); ok {
			return mirror{uri: uri, keyring: s.keyring()}, nil
		}
	}
	return mirror{}, fmt.Errorf("the apt sources in %s name no mirror of Debian, from which the packages come", dir)
}

func (s aptSource) debian() (uri string, ok bool) {
	if s.disabled || !slices.Contains(s.types, "deb") || !slices.Contains(s.components, "main") ||
		!slices.ContainsFunc(s.suites, debianSuite.MatchString) {
		return "", false
	}
	for _, uri := range s.uris {
		scheme, _, _ := strings.Cut(uri, ":")
		if slices.Contains([]string{"http", "https", "file"}, scheme) {
			return uri, true
		}
	}
	return "", false
}

// keyring is the file that the source names. A key may stand in the source itself, too.
func (s aptSource) keyring() string {
	if strings.HasPrefix(s.signedBy, "/") {
		return s.signedBy
	}
	return defaultKeyring
}

// parseList reads lines like "deb [signed-by=FILE] URI SUITE COMPONENT...".
func parseList(text string) []aptSource {
	var sources []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		var options string
		if strings.HasPrefix(rest, "[") {
			options, rest, _ = strings.Cut(rest[1:], "]")
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			continue
		}
		s := aptSource{types: []string{kind}, uris: fields[:1], suites: fields[1:2], components: fields[2:]}
		for option := range strings.FieldsSeq(options) {
			if file, ok := strings.CutPrefix(option, "signed-by="); ok {
				s.signedBy = file
			}
		}
		sources = append(sources, s)
	}
	return sources
}

// parseStanzas reads the format of deb822(5).
func parseStanzas(text string) []aptSource {
	var sources []aptSource
	fields := map[string]string{}
	flush := func() {
		if len(fields) > 0 {
			sources = append(sources, aptSource{
				types: strings.Fields(fields["types"]), uris: strings.Fields(fields["uris"]),
				suites: strings.Fields(fields["suites"]), components: strings.Fields(fields["components"]),
				signedBy: strings.TrimSpace(fields["signed-by"]), disabled: isNo(fields["enabled"]),
			})
		}
		fields = map[string]string{}
	}
	last := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		name, value, found := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += "\n" + line
		case found:
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = value
		}
	}
	flush()
	return sources
}

func isNo(value string) bool {
	return slices.Contains([]string{"no", "false", "without", "off", "disable", "0"}, strings.ToLower(strings.TrimSpace(value)))
}
