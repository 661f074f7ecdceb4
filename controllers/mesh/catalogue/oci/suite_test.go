// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	registries "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"oras.land/oras-go/v2"
	files "oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// further is a version that no operator has, made of the charts of another one.
const further = "1.31.77"

// known is a version that every operator has.
func known(t *testing.T, version string) catalogue.Entry {
	t.Helper()
	entries := embedded(t).Entries()
	at := slices.IndexFunc(entries, func(e catalogue.Entry) bool { return e.Version.String() == version })
	if at < 0 {
		t.Fatalf("the operator has no Istio %s", version)
	}
	return entries[at]
}

func embedded(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// item is an entry of a list.
func item(version, archive, digest string) string {
	return fmt.Sprintf("- {version: %s, archive: %s, sha256: %q, kubernetes: {min: \"1.32\"}, hub: registry.example.com/istio, tag: t}\n", version, archive, digest)
}

// folder has the further version, and one that every operator has.
func folder(t *testing.T) memory {
	t.Helper()
	e := known(t, "1.31.0")
	list := "versions:\n" + item(further, "further.tgz", e.SHA256) + item("1.31.0", e.Archive, e.SHA256)
	return memory{catalogue.File: []byte(list), "further.tgz": archive(t, e), e.Archive: archive(t, e)}
}

// archive has the charts of a version that every operator has.
func archive(t *testing.T, e catalogue.Entry) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "charts", e.Archive))
	if err != nil {
		t.Fatalf("no archive: run make charts (%v)", err)
	}
	return raw
}

// server is a registry, without TLS. wrap stands before it.
func server(t *testing.T, wrap func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	handler := registries.New(registries.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		handler = wrap(handler)
	}
	out := httptest.NewServer(handler)
	t.Cleanup(out.Close)
	return out
}

// push does what "oras push" does, and gives the reference.
func push(t *testing.T, at *httptest.Server, content memory) string {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	store, err := files.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var layers []ocispec.Descriptor
	for name, data := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		layer, err := store.Add(ctx, name, "", "")
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, layer)
	}
	return pack(t, at, store, layers)
}

// pack pushes a manifest of layers, which are in the store.
func pack(t *testing.T, at *httptest.Server, store oras.Target, layers []ocispec.Descriptor) string {
	t.Helper()
	ctx := t.Context()
	manifest, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_1, "application/vnd.example", oras.PackManifestOptions{Layers: layers})
	if err != nil {
		t.Fatal(err)
	}
	if err := oras.CopyGraph(ctx, store, repository(t, at), manifest, oras.DefaultCopyGraphOptions); err != nil {
		t.Fatal(err)
	}
	return scheme + host(at) + "/fairlead/istio-charts@" + manifest.Digest.String()
}

func repository(t *testing.T, at *httptest.Server) *remote.Repository {
	t.Helper()
	out, err := remote.NewRepository(host(at) + "/fairlead/istio-charts")
	if err != nil {
		t.Fatal(err)
	}
	out.Client, out.PlainHTTP = http.DefaultClient, true
	return out
}

func host(at *httptest.Server) string { return strings.TrimPrefix(at.URL, "http://") }

// reader is a source under test, with what it logs.
type reader struct {
	*Source
	mu    sync.Mutex
	lines []string
	// wrote is signalled at each line.
	wrote chan struct{}
}

// newReader makes a source that tries again at once.
func newReader(t *testing.T, reference string, edit ...func(*Source)) *reader {
	t.Helper()
	out := &reader{wrote: make(chan struct{}, 1)}
	logger := funcr.New(func(_, line string) {
		out.mu.Lock()
		out.lines = append(out.lines, line)
		out.mu.Unlock()
		select {
		case out.wrote <- struct{}{}:
		default:
		}
	}, funcr.Options{})
	source, err := New(Config{Reference: reference, Catalogue: embedded(t), Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	source.pauses = wait.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 1}
	for _, e := range edit {
		e(source)
	}
	out.Source = source
	return out
}

// log is everything that was logged.
func (r *reader) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// soon is how long a test waits for what should take milliseconds; the machine may be busy.
const soon = 60 * time.Second

// run reads until the source is done.
func (r *reader) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := r.Start(ctx); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("it is not done after %s:\n%s", soon, r.log())
	}
}

// says is what somebody is told who asks for the further version.
func (r *reader) says(t *testing.T) string {
	t.Helper()
	_, err := r.Catalogue.Resolve(further, "v1.37.0", time.Now(), false)
	if err == nil {
		return ""
	}
	return err.Error()
}
