// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What Stat.Server is for the sums of a proxy.
const (
	FrontendStat = "FRONTEND"
	BackendStat  = "BACKEND"
)

// Stat is one line of "show stat".
type Stat struct {
	// Proxy is a frontend or backend; Server is one of its servers, FrontendStat or BackendStat.
	Proxy, Server string
	// Status is "UP", "DOWN", "MAINT", "DRAIN", "no check", "OPEN", "UP 1/3" and the like.
	Status string
	// CheckStatus is "L4OK", "L7STS", "L4CON" and the like, "* " before it while a check runs; empty without checks.
	CheckStatus string
	// CheckCode is the status code of the last check over HTTP, or 0.
	CheckCode int
	// Sessions are those open now, Queued those that wait for a server.
	Sessions, Queued int
	// TotalSessions counts since the start.
	TotalSessions int
	// UsedConns are the connections to a server that carry something now, IdleConns those kept for reuse.
	UsedConns, IdleConns int
	Weight               int
	// Fields are all columns by HAProxy's names.
	Fields map[string]string
}

// Stats are the lines of "show stat" in HAProxy's order.
func (c *Client) Stats(ctx context.Context) ([]Stat, error) {
	answer, err := c.show(ctx, "show stat", says("# pxname,"))
	if err != nil {
		return nil, err
	}
	return parseStats(answer)
}

func parseStats(answer string) ([]Stat, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(answer, "# ")))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%w: statistics are no CSV", ErrProtocol)
	}
	rec := record{header: rows[0]}
	var stats []Stat
	for _, row := range rows[1:] {
		rec.values = row
		fields := make(map[string]string, len(row))
		for i, name := range rec.header {
			if i < len(row) && name != "" {
				fields[name] = row[i]
			}
		}
		stats = append(stats, Stat{
			Proxy: rec.text("pxname"), Server: rec.text("svname"), Status: rec.text("status"),
			CheckStatus: rec.text("check_status"), CheckCode: rec.number("check_code"),
			Sessions: rec.number("scur"), Queued: rec.number("qcur"), TotalSessions: rec.number("stot"),
			UsedConns: rec.number("used_conn_cur"), IdleConns: rec.number("idle_conn_cur"), Weight: rec.number("weight"),
			Fields: fields,
		})
	}
	return stats, rec.err
}

// Info is "show info".
type Info struct {
	// PID is that of the worker that answers.
	PID     int
	Version string
	Uptime  time.Duration
	// CurrConns are the connections of clients now, MaxConn is their limit.
	CurrConns, MaxConn int
	// Stopping is set while an old worker finishes what it serves.
	Stopping bool
	// Fields are all by HAProxy's names.
	Fields map[string]string
}

// Info asks the worker about itself.
func (c *Client) Info(ctx context.Context) (Info, error) {
	answer, err := c.show(ctx, "show info", says("Name:"))
	if err != nil {
		return Info{}, err
	}
	return parseInfo(answer)
}

func parseInfo(answer string) (Info, error) {
	info := Info{Fields: map[string]string{}}
	for l := range strings.Lines(answer) {
		if name, value, ok := strings.Cut(l, ":"); ok {
			info.Fields[name] = strings.TrimSpace(value)
		}
	}
	var err error
	number := func(name string) int {
		n, e := strconv.Atoi(info.Fields[name])
		if e != nil && err == nil {
			err = fmt.Errorf("%w: %s is no number", ErrProtocol, name)
		}
		return n
	}
	info.PID, info.Version = number("Pid"), info.Fields["Version"]
	info.Uptime = time.Duration(number("Uptime_sec")) * time.Second
	info.CurrConns, info.MaxConn = number("CurrConns"), number("Maxconn")
	info.Stopping = number("Stopping") != 0
	return info, err
}

// AwaitWorker returns when the worker with that process ID answers on the socket, as after a reload.
func (c *Client) AwaitWorker(ctx context.Context, pid int) error {
	last := error(nil)
	for {
		info, err := c.Info(ctx)
		if err == nil && info.PID == pid {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("worker %d answers", info.PID)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for worker %d: %w (last: %w)", pid, ctx.Err(), last)
		case <-time.After(poll):
		}
	}
}

// Sessions counts the sessions of each server, as "backend/server": a server that drains is free when it has
// none. Those of the sockets themselves are not counted.
func (c *Client) Sessions(ctx context.Context) (map[string]int, error) {
	answer, err := c.show(ctx, "show sess", func(a string) bool { return a == "" || strings.HasPrefix(a, "0x") })
	if err != nil {
		return nil, err
	}
	return parseSessions(answer), nil
}

func parseSessions(answer string) map[string]int {
	counts := map[string]int{}
	for l := range strings.Lines(answer) {
		var backend, server string
		for _, field := range strings.Fields(l) {
			if v, ok := strings.CutPrefix(field, "be="); ok {
				backend = v
			} else if v, ok := strings.CutPrefix(field, "srv="); ok {
				server = v
				break
			}
		}
		if server != "" && !strings.HasPrefix(server, "<") && !strings.HasPrefix(backend, "<") {
			counts[backend+"/"+server]++
		}
	}
	return counts
}
