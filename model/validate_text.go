// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package model

import (
	"net/netip"
	"strings"
)

const (
	maxLabel    = 63
	maxHostname = 253
)

func each(s string, ok func(c byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isAlnum(c byte) bool { return isLower(c) || c >= 'A' && c <= 'Z' }

// isLabel reports whether s is a label of DNS names in lower case.
func isLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && s[0] != '-' && s[len(s)-1] != '-' &&
		each(s, func(c byte) bool { return isLower(c) || c == '-' })
}

// isSubdomain reports whether s is a name of an object in Kubernetes.
func isSubdomain(s string) bool {
	if len(s) > maxHostname {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// isHostname also takes underscores, which names in use have, and no IP address.
func isHostname(s string) bool {
	return isSubdomain(strings.ReplaceAll(s, "_", "a")) && !isIP(s)
}

func isIP(s string) bool {
	address, err := netip.ParseAddr(s)
	return err == nil && address.Zone() == ""
}

func isCIDR(s string) bool {
	if isIP(s) {
		return true
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}

// isToken reports whether s is a token of RFC 9110, like the name of a header or a method.
func isToken(s string) bool {
	return s != "" && len(s) <= maxHostname && each(s, func(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 })
}

// hasControl reports whether s has a control character other than the tab.
func hasControl(s string) bool {
	return !each(s, func(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' })
}

func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && len(s) <= maxPath &&
		each(s, func(c byte) bool { return c > ' ' && c < 0x7f && c != '?' && c != '#' })
}

// isMediaType takes what may stand in Content-Type.
func isMediaType(s string) bool {
	kind, rest, _ := strings.Cut(s, "/")
	sub, parameters, _ := strings.Cut(rest, ";")
	return isToken(kind) && isToken(strings.TrimSpace(sub)) && !hasControl(parameters) && len(s) <= maxPath
}

// isCipher takes a name of OpenSSL's, but no operator of its lists.
func isCipher(s string) bool {
	return s != "" && len(s) <= maxLabel && each(s, func(c byte) bool { return isAlnum(c) || c == '-' || c == '_' })
}

// isOrigin takes scheme://host and scheme://host:port, and null.
func isOrigin(s string) bool {
	scheme, host, found := strings.Cut(s, "://")
	return s == "null" || found && isToken(scheme) && host != "" && len(s) <= maxPath &&
		each(host, func(c byte) bool { return isAlnum(c) || strings.IndexByte("-._:[]", c) >= 0 })
}

// balanced is the part of the grammar of regular expressions that all dialects share.
func balanced(regex string) bool {
	depth, class := 0, false
	for i := 0; i < len(regex); i++ {
		switch c := regex[i]; {
		case c == '\\':
			if i++; i == len(regex) {
				return false
			}
			if regex[i] == 'Q' {
				// What is quoted ends with \E, or with the expression.
				_, rest, _ := strings.Cut(regex[i:], `\E`)
				i = len(regex) - len(rest) - 1
			}
		case class:
			class = c != ']'
		case c == '[':
			class = true
			// The first may be ] itself, also behind ^.
			if i+1 < len(regex) && regex[i+1] == '^' {
				i++
			}
			if i+1 < len(regex) && regex[i+1] == ']' {
				i++
			}
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0 && !class
}
