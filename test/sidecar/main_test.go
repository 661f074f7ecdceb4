// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead/fairlead/test/operator"
)

func TestCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		fails string
	}{
		"rules":          {[]string{"istio-iptables", "-p", "15001", "-z", "15006"}, ""},
		"rules, checked": {[]string{"istio-iptables", "--run-validation", "--skip-rule-apply"}, ""},
		"drain":          {[]string{"request", "--debug-port=15020", "POST", "drain"}, ""},
		"nothing":        {nil, "no command"},
		"another":        {[]string{"xds"}, `unknown command "xds"`},
	} {
		err := run(t.Context(), test.args)
		if (err != nil) != (test.fails != "") || err != nil && err.Error() != test.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestProxy: it is ready at once, tells how the application is, and ends when it is told to.
func TestProxy(t *testing.T) {
	var healthy atomic.Bool
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy.Load() || r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer app.Close()
	ready, status := freeAddress(t), freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, ready, status, map[string]string{"/app-health/web/readyz": app.URL + "/healthz"})
	}()

	if err := wait(t.Context(), "http://"+ready+"/healthz/ready"); err != nil {
		t.Fatal(err)
	}
	if err := wait(t.Context(), "http://"+status+"/healthz/ready"); err != nil {
		t.Fatal(err)
	}
	for is, want := range map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable} {
		healthy.Store(is)
		if got := ask(t.Context(), http.DefaultClient, "http://"+status+"/app-health/web/readyz"); got != want {
			t.Errorf("the application is healthy: %v; answered %d, want %d", is, got, want)
		}
	}
	app.Close()
	if got := ask(t.Context(), http.DefaultClient, "http://"+status+"/app-health/web/readyz"); got != http.StatusInternalServerError {
		t.Errorf("without the application answered %d", got)
	}
	began := time.Now()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*endTimeout {
		t.Errorf("it took %s to end", took)
	}
}

func TestWaitEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := wait(ctx, "http://"+freeAddress(t)); err == nil {
		t.Error("it waited for nothing and said that it came")
	}
}

func TestProbes(t *testing.T) {
	text := `{"/app-health/web/readyz":{"httpGet":{"path":"/healthz","port":8080,"scheme":"HTTP"},"timeoutSeconds":1},` +
		`"/app-health/web/livez":{"tcpSocket":{"port":8080}},"/app-health/tls/readyz":{"httpGet":{"path":"/","port":8443,"scheme":"HTTPS"}}}`
	got, err := probesOf(text, "fd00::1")
	if want := map[string]string{"/app-health/web/readyz": "http://[fd00::1]:8080/healthz"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := probesOf("{", ""); err == nil || !strings.HasPrefix(err.Error(), "read the probes of applications: ") {
		t.Errorf("what is no JSON says %v", err)
	}
	if got, err := probesOf("", ""); got != nil || err != nil {
		t.Errorf("none is %v, %v", got, err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := operator.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
