// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fairlead/fairlead/agent/driver"
	"github.com/fairlead/fairlead/agent/haproxy"
	"github.com/fairlead/fairlead/agent/haproxy/socket"
)

func TestParse(t *testing.T) {
	t.Setenv("POD_NAME", "front-lb-1")
	t.Setenv("POD_NAMESPACE", "shop")
	t.Setenv("POD_UID", "5fd8")
	t.Setenv("POD_IP", "10.0.0.9")
	o, _, err := parse([]string{"--load-balancer=front", "--dir=/x", "--verify-interval=1s"}, &bytes.Buffer{})
	want := options{
		dir: "/x", loadBalancer: "front", address: ":8406", verify: time.Second, healthPort: 8404, peersPort: 8405,
		pod: pod{namespace: "shop", name: "front-lb-1", uid: "5fd8", ip: "10.0.0.9"},
	}
	if err != nil || o != want {
		t.Errorf("%+v, %v, want %+v", o, err, want)
	}
	for text, args := range map[string][]string{
		"--load-balancer is empty": nil, `unknown argument "x"`: {"--load-balancer=a", "x"},
		"--verify-interval is 0s": {"--load-balancer=a", "--verify-interval=0s"}, "flag provided but not defined": {"--nope"},
	} {
		if _, _, err := parse(args, &bytes.Buffer{}); err == nil || !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%q: %v, want %s", args, err, text)
		}
	}
}

// TestReportIsWithinBounds has more of everything than the API takes.
func TestReportIsWithinBounds(t *testing.T) {
	long := strings.Repeat("ä", 2000)
	s := driver.Status{Version: long, Model: long, Refused: long}
	for range 30 {
		s.Problems = append(s.Problems, haproxy.Refusal{Field: long, Reason: long, Message: long})
	}
	s.Repairs = []driver.Repair{{Object: long, Field: long, Failed: true}}
	r := (&reporter{options: options{loadBalancer: "front"}}).report(s)
	if r.Problems.Count != 30 || len(r.Problems.Top) != 10 || r.Repairs[0].Repaired || r.Repairs[0].Manager != "unknown" {
		t.Errorf("report %+v", r)
	}
	for what, bound := range map[string]struct {
		text string
		most int
	}{
		"version": {r.Version, 64}, "model": {r.Model, 64}, "refused": {r.Refused, 1024}, "field": {r.Problems.Top[0].Field, 256},
		"reason": {r.Problems.Top[0].Reason, 64}, "message": {r.Problems.Top[0].Message, 1024}, "object": {r.Repairs[0].Object, 512}, "repair's field": {r.Repairs[0].Field, 256},
	} {
		if n := utf8.RuneCountInString(bound.text); n > bound.most || n == 0 {
			t.Errorf("%s has %d characters", what, n)
		}
	}
}

func TestCount(t *testing.T) {
	pools := map[string]string{"pool.web": "web", "pool.web.r1": "web"}
	got := count([]socket.Stat{
		{Proxy: "listener.http", Server: socket.FrontendStat, Status: "OPEN"}, {Proxy: "pool.web", Server: socket.BackendStat, Status: "UP"},
		{Proxy: "pool.web", Server: "a", Status: "UP 1/3"}, {Proxy: "pool.web", Server: "b", Status: "no check"}, {Proxy: "pool.web", Server: "c", Status: "UP"},
		{Proxy: "pool.web.r1", Server: "c", Status: "DOWN (agent)"}, {Proxy: "pool.web", Server: "d", Status: "DRAIN"}, {Proxy: "pool.web", Server: "e", Status: "MAINT"},
	}, func(backend string) string { return pools[backend] })
	for state, want := range map[string]int{"up": 2, "down": 1, "drain": 1, "maint": 1} {
		if n := got[[2]string{"web", state}]; n != want {
			t.Errorf("%d %s, want %d", n, state, want)
		}
	}
}
