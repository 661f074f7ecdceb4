// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"bytes"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

// MapText is the file of a map as HAProxy reads it at its start.
func MapText(entries []socket.Entry) []byte {
	var out bytes.Buffer
	for _, entry := range entries {
		out.WriteString(entry.Key + " " + entry.Value + "\n")
	}
	return out.Bytes()
}

// CertListText is the file of a certificate list as HAProxy reads it at its start.
func CertListText(lines []Certificate) []byte {
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(line.Path)
		if len(line.Options) > 0 {
			out.WriteString(" [" + strings.Join(line.Options, " ") + "]")
		}
		for _, name := range line.Names {
			out.WriteString(" " + name)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
