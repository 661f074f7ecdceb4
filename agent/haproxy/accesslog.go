// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// maxLogged is the most bytes of a path or host in a log; each may become six when it is escaped.
const maxLogged = 1024

// logField is one field of a line of JSON.
type logField struct {
	name, format string
	number       bool
}

// clientText is a text of the client's in JSON.
func clientText(variable string) string {
	return fmt.Sprintf("%%[var(%s),bytes(0,%d),json(utf8s)]", variable, maxLogged)
}

// accessLog writes the format of the log: one object of JSON per request or connection. The query is not in it, since it
// may hold secrets. Durations are in milliseconds, -1 for what did not happen; a text that there is none of is "-". What fails
// before there is a request or stream has a line with an error instead.
func (b *builder) accessLog(w *config.Writer, l *model.Listener) {
	if b.cfg.AccessLog != model.LogJSON {
		w.Line("no log")
		return
	}
	common := []logField{
		// Seconds since 1970.
		{"time", "%Ts.%ms", true},
		{"client", "%ci", false},
		{"clientPort", "%cp", true},
		{"listener", l.Name, false},
	}
	own := []logField{
		{"route", "%[var(txn.route)]", false},
		{"pool", "%[var(txn.pool)]", false},
		{"server", "%s", false},
	}
	var after []logField
	if isStream(l) {
		after = []logField{
			{"host", clientText("txn.host"), false},
			{"bytesIn", "%U", true}, {"bytesOut", "%B", true},
			{"waitMs", "%Tw", true}, {"connectMs", "%Tc", true}, {"totalMs", "%Tt", true},
			{"end", "%ts", false},
		}
	} else {
		after = []logField{
			{"method", clientText("txn.method"), false}, {"host", clientText("txn.host"), false}, {"path", clientText("txn.path"), false},
			{"status", "%ST", true}, {"bytesIn", "%U", true}, {"bytesOut", "%B", true},
			{"waitMs", "%Tw", true}, {"connectMs", "%Tc", true}, {"responseMs", "%Tr", true}, {"totalMs", "%Ta", true},
			{"end", "%ts", false},
		}
	}
	w.Line("log-format", object(common, own, after))
	w.Line("error-log-format", object(common, []logField{{"status", "%ST", true}, {"error", "%[fc_err_str]", false}, {"end", "%ts", false}}))
}

// object writes fields as one object; its formats are this program's own.
func object(groups ...[]logField) config.Arg {
	var parts []string
	for _, group := range groups {
		for _, field := range group {
			value := field.format
			if !field.number {
				value = `"` + value + `"`
			}
			parts = append(parts, `"`+field.name+`":`+value)
		}
	}
	return config.Compose(config.Part("{" + strings.Join(parts, ",") + "}"))
}
