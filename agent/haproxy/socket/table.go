// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Table is a stick table.
type Table struct {
	Name, Type string
	// Size is how many entries it can hold, Used how many it has.
	Size, Used int
	Entries    []TableEntry
}

// TableEntry is one of a stick table.
type TableEntry struct {
	// Key is as it was set, where it is printable; HAProxy escapes other bytes as \xHH and the like.
	Key string
	// Use counts what refers to the entry now.
	Use int
	// Expires is the time until it goes, 0 where it stays.
	Expires time.Duration
	// Data is by the name of the data type: "gpc0", "http_req_rate(10000)", whose period is in milliseconds.
	Data map[string]string
}

// Tables are the names of all stick tables, without entries.
func (c *Client) Tables(ctx context.Context) ([]Table, error) {
	answer, err := c.show(ctx, "show table", func(a string) bool { return a == "" || strings.HasPrefix(a, "# table:") })
	if err != nil {
		return nil, err
	}
	return parseTables(answer)
}

// Table is one stick table with its entries: ErrNotFound if there is no such table.
func (c *Client) Table(ctx context.Context, name string) (Table, error) {
	answer, err := c.show(ctx, "show table", says("# table:"), name)
	if err != nil {
		return Table{}, err
	}
	tables, err := parseTables(answer)
	if err != nil {
		return Table{}, err
	}
	if len(tables) != 1 {
		return Table{}, fmt.Errorf("%w: %d tables", ErrProtocol, len(tables))
	}
	return tables[0], nil
}

func parseTables(answer string) ([]Table, error) {
	var tables []Table
	for l := range strings.Lines(answer) {
		l = strings.TrimSpace(l)
		switch {
		case l == "":
		case strings.HasPrefix(l, "# table:"):
			t := Table{}
			for field := range strings.SplitSeq(l[len("# "):], ",") {
				name, value, _ := strings.Cut(strings.TrimSpace(field), ":")
				value = strings.TrimSpace(value)
				switch name {
				case "table":
					t.Name = value
				case "type":
					t.Type = value
				case "size":
					t.Size, _ = strconv.Atoi(value)
				case "used":
					t.Used, _ = strconv.Atoi(value)
				}
			}
			tables = append(tables, t)
		case len(tables) == 0:
			return nil, fmt.Errorf("%w: an entry before a table", ErrProtocol)
		default:
			e, err := parseTableEntry(l)
			if err != nil {
				return nil, err
			}
			last := &tables[len(tables)-1]
			last.Entries = append(last.Entries, e)
		}
	}
	return tables, nil
}

// parseTableEntry reads "0x…: key=K use=0 exp=59995 shard=0 gpc0=5", in which a space of the key is escaped.
func parseTableEntry(l string) (TableEntry, error) {
	e := TableEntry{Data: map[string]string{}}
	fields := splitEscaped(l)
	if len(fields) < 2 || !strings.HasPrefix(fields[1], "key=") {
		return e, fmt.Errorf("%w: an entry of a table without a key", ErrProtocol)
	}
	e.Key = unescape(fields[1][len("key="):])
	for _, field := range fields[2:] {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "use":
			e.Use, _ = strconv.Atoi(value)
		case "exp":
			ms, err := strconv.Atoi(value)
			if err != nil {
				return e, fmt.Errorf("%w: an entry of a table without its time", ErrProtocol)
			}
			e.Expires = time.Duration(ms) * time.Millisecond
		default:
			e.Data[name] = value
		}
	}
	return e, nil
}

// splitEscaped splits at spaces that have no backslash before them.
func splitEscaped(s string) []string {
	var fields []string
	start := 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] == '\\':
			i++
		case i >= len(s) || s[i] == ' ':
			if i > start && start < len(s) {
				fields = append(fields, s[start:min(i, len(s))])
			}
			start = i + 1
		}
	}
	if start < len(s) {
		fields = append(fields, s[start:])
	}
	return fields
}

// unescape removes the backslash before what is printable.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(` \="`, s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// SetTable makes or changes an entry. data is by the name of the data type without its period: "gpc0",
// "http_req_rate". The key must be one of the table's type: 2.6 takes others without a word.
func SetTable(table, key string, data map[string]int64) Command {
	args := []string{table, "key", key}
	names := make([]string, 0, len(data))
	for name := range data {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		args = append(args, "data."+name, strconv.FormatInt(data[name], 10))
	}
	return command("set table", nil, args...)
}

// ClearTable removes one entry. It is no error if there is none.
func ClearTable(table, key string) Command {
	return command("clear table", nil, table, "key", key)
}
