// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/agent/haproxy/socket"
	"github.com/fairlead/fairlead/test/haproxy"
)

func TestReload(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p := start(t, v, oneBackend, nil)
		before, err := p.master.Procs(ctx)
		must(t, err)
		first, ok := before.Serving()
		if !ok || before.Master.PID == 0 || before.Master.Version == "" || first.Reloads != 0 {
			t.Fatalf("%+v", before)
		}
		info, err := p.Info(ctx)
		must(t, err)
		if info.PID != first.PID || !strings.HasPrefix(info.Version, v.Name+".") || info.MaxConn != 1000 {
			t.Errorf("%+v", info)
		}
		// The client finds the new worker, and what only the old one had is gone.
		must(t, p.Run(ctx, socket.AddServer("b", "dynamic", "127.0.0.1:9")))
		p.configure(t, oneBackend+"  server second 127.0.0.1:2\n")
		worker, err := p.master.Reload(ctx)
		must(t, err)
		if worker.PID == first.PID {
			t.Error("the old worker serves")
		}
		must(t, p.AwaitWorker(ctx, worker.PID))
		p.server(t, "b", "second")
		wantIs(t, "of the old worker", p.Run(ctx, socket.DelServer("b", "dynamic")), socket.ErrNotFound)

		// A broken configuration changes nothing.
		p.configure(t, oneBackend+"  no-such-word\n")
		_, err = p.master.Reload(ctx)
		var failed *socket.ReloadError
		if !errors.As(err, &failed) {
			t.Fatalf("reload of a broken configuration: %v", err)
		}
		if named := strings.Contains(err.Error(), "no-such-word"); named != (v.Name != "2.6") {
			t.Errorf("%v", err)
		}
		procs, err := p.master.Procs(ctx)
		must(t, err)
		if serving, ok := procs.Serving(); !ok || serving.PID != worker.PID || procs.FailedReloads != 1 {
			t.Errorf("%+v", procs)
		}
		p.server(t, "b", "second")

		p.configure(t, oneBackend)
		again, err := p.master.Reload(ctx)
		must(t, err)
		must(t, p.AwaitWorker(ctx, again.PID))
		procs, err = p.master.Procs(ctx)
		must(t, err)
		if procs.FailedReloads != 0 || procs.Master.Reloads != 3 {
			t.Errorf("%+v", procs)
		}
	})
}

// TestSocketIsTheNewWorkersAfterReload counts answers of old workers after Reload returned.
func TestSocketIsTheNewWorkersAfterReload(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		ctx := t.Context()
		p := start(t, v, oneBackend, nil)
		for i := range 10 {
			worker, err := p.master.Reload(ctx)
			must(t, err)
			early := 0
			for {
				info, err := p.Info(ctx)
				if err == nil && info.PID == worker.PID {
					break
				}
				early++
			}
			for range 50 {
				info, err := p.Info(ctx)
				must(t, err)
				if info.PID != worker.PID {
					t.Errorf("reload %d: worker %d answers after %d did", i, info.PID, worker.PID)
				}
			}
			if early > 0 {
				t.Logf("reload %d: %d answers before the new worker's", i, early)
			}
		}
	})
}
