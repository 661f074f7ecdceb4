// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	user     = "robot"
	password = "correct-horse"
)

// guarded is a registry that gives its blobs and manifests to one user only, once it is locked.
func guarded(t *testing.T) (at *httptest.Server, lock func()) {
	t.Helper()
	var locked atomic.Bool
	at = server(t, func(registry http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name, given, _ := r.BasicAuth(); locked.Load() && (name != user || given != password) {
				w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			registry.ServeHTTP(w, r)
		})
	})
	return at, func() { locked.Store(true) }
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func configuration(host, auth string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}},"credsStore":"none","credHelpers":{%q:"none"}}`, host, auth, host)
}

// TestCredentials: the file is read at each attempt, since a Secret may come late and changes; and nothing of it is told.
func TestCredentials(t *testing.T) {
	at, lock := guarded(t)
	reference := push(t, at, folder(t))
	lock()
	right := encoded(user + ":" + password)
	for name, test := range map[string]struct{ before, want string }{
		"no file":        {"", "credentials: stat "},
		"no JSON":        {"{" + password, "credentials: the file is no Docker configuration"},
		"another host":   {configuration("registry.example.com", right), "basic credential not found"},
		"wrong password": {configuration(host(at), encoded(user+":wrong-"+password)), "401"},
		// The library repeats it, in full.
		"no user":  {configuration(host(at), encoded(password)), "the file is no Docker configuration"},
		"right":    {configuration(host(at), right), ""},
		"as a URL": {configuration("http://"+host(at)+"/v1/", right), ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.json")
			write := func(text string) {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if test.before != "" {
				write(test.before)
			}
			r := newReader(t, reference, func(s *Source) { s.Credentials = path })
			if test.want != "" {
				_, err := r.read(t.Context())
				if err == nil || !strings.Contains(clean(err), test.want) {
					t.Errorf("%v, want %q", err, test.want)
				}
				write(configuration(host(at), right))
				if err != nil {
					r.lines = append(r.lines, clean(err))
				}
			}
			r.run(t)
			if got := r.says(t); got != "" {
				t.Errorf("it says %s", got)
			}
			for _, secret := range []string{password, right, encoded(password)} {
				if strings.Contains(r.log(), secret) {
					t.Errorf("the log has %q:\n%s", secret, r.log())
				}
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		r := newReader(t, reference)
		if _, err := r.read(t.Context()); err == nil || !strings.Contains(err.Error(), "basic credential not found") {
			t.Errorf("without credentials it says %v", err)
		}
	})
}

// TestRedirect: a registry may have its blobs elsewhere. There nobody learns who reads them, and what the URL is signed with stays untold.
func TestRedirect(t *testing.T) {
	const signature = "X-Signature=abc123"
	var authorized atomic.Bool
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		authorized.Store(authorized.Load() || r.Header.Get("Authorization") != "")
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(storage.Close)
	var target atomic.Pointer[string]
	at, lock := guarded(t)
	registry := at.Config.Handler
	at.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := target.Load(); to != nil && strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, *to+"/blob?"+signature, http.StatusTemporaryRedirect)
			return
		}
		registry.ServeHTTP(w, r)
	})
	reference := push(t, at, folder(t))
	lock()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(configuration(host(at), encoded(user+":"+password))), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct{ to, want string }{
		"refused":        {storage.URL, "403"},
		"away":           {gone.URL, "refused"},
		"another scheme": {"http://storage.example.com", "plain HTTP to another machine is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			target.Store(&test.to)
			r := newReader(t, reference, func(s *Source) { s.Credentials = path })
			_, err := r.read(t.Context())
			if err == nil {
				t.Fatal("it is read")
			}
			if got := clean(err); !strings.Contains(got, test.want) || strings.Contains(got, signature) || !strings.Contains(err.Error(), signature) {
				t.Errorf("%s\nwas %v", got, err)
			}
		})
	}
	if authorized.Load() {
		t.Error("the storage got the credentials")
	}
}

// TestTLS: other machines are asked by TLS only, and have to be who they say.
func TestTLS(t *testing.T) {
	plain := server(t, nil)
	local := push(t, plain, folder(t))
	_, digest, _ := strings.Cut(local, "@")
	reference := "oci://example.com/fairlead/istio-charts@" + digest
	secure := httptest.NewTLSServer(plain.Config.Handler)
	t.Cleanup(secure.Close)
	to := func(address net.Addr, trusted *x509.CertPool) func(*Source) {
		return func(s *Source) {
			s.transport.DialContext = func(ctx context.Context, network, asked string) (net.Conn, error) {
				if asked != "example.com:443" {
					return nil, errors.New("asked for " + asked)
				}
				return (&net.Dialer{}).DialContext(ctx, network, address.String())
			}
			s.transport.TLSClientConfig.RootCAs = trusted
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	r := newReader(t, reference, to(secure.Listener.Addr(), pool))
	r.run(t)
	if got := r.says(t); got != "" {
		t.Errorf("it says %s", got)
	}
	for name, test := range map[string]struct {
		edit func(*Source)
		want string
	}{
		"unknown authority": {to(secure.Listener.Addr(), x509.NewCertPool()), "certificate signed by unknown authority"},
		"no TLS":            {to(plain.Listener.Addr(), pool), "server gave HTTP response to HTTPS client"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		_, err := newReader(t, reference, test.edit).read(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		`Get "https://me:pw@storage.example.com/a/b?sig=x&y=z": EOF`:           `Get "https://storage.example.com/a/b": EOF`,
		"http://127.0.0.1:5000/v2/?a and https://example.com?b, https://x.y/z": "http://127.0.0.1:5000/v2/ and https://example.com https://x.y/z",
		"no URL? none":            "no URL? none",
		strings.Repeat("x", 2000): strings.Repeat("x", longest) + "...",
	} {
		if got := clean(errors.New(text)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestDefaults: the bounds of a source as it is made.
func TestDefaults(t *testing.T) {
	r := newReader(t, "oci://registry.example.com/charts@sha256:"+strings.Repeat("0", 64))
	if r.timeout != 2*time.Minute || r.transport.ResponseHeaderTimeout != 30*time.Second || r.transport.Proxy == nil {
		t.Errorf("it is %s, %s, proxy %v", r.timeout, r.transport.ResponseHeaderTimeout, r.transport.Proxy != nil)
	}
	if _, err := New(Config{Reference: "oci://registry.example.com/charts:1.33"}); err == nil {
		t.Error("a reference without a digest is taken")
	}
}
