// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	store "oras.land/oras-go/v2/content/memory"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// TestRead: a version of the artifact is unknown until it was read, and then whoever waits for it is told.
func TestRead(t *testing.T) {
	at := server(t, nil)
	r := newReader(t, push(t, at, folder(t)))
	var changes int
	r.Catalogue.OnChange(func() { changes++ })
	want := "Istio " + further + " is not in the catalogue; " + r.reference.String() + " is not read yet; possible are"
	if got := r.says(t); !strings.HasPrefix(got, want) {
		t.Errorf("before, it says %q, want %q", got, want)
	}
	before := r.Catalogue.Entries()
	r.run(t)
	if got := r.says(t); got != "" || changes == 0 || len(r.Catalogue.Entries()) != len(before)+1 {
		t.Fatalf("%s; %d changes; %d versions were %d", got, changes, len(r.Catalogue.Entries()), len(before))
	}
	at.Close()
	entries := r.Catalogue.Entries()
	charts, err := r.Catalogue.Charts(entries[slices.IndexFunc(entries, func(e catalogue.Entry) bool { return e.Version.String() == further })])
	if err != nil {
		t.Fatal(err)
	}
	istiod, err := charts.Chart(catalogue.Istiod)
	if err != nil || istiod.Metadata.AppVersion != further {
		t.Errorf("the chart is %+v, %v", istiod, err)
	}
	if _, err := r.Catalogue.Resolve("1.99", "v1.37.0", time.Now(), false); err == nil || strings.Contains(err.Error(), "oci://") {
		t.Errorf("after, it says %v", err)
	}
	if !strings.Contains(r.log(), `"versions"=["1.31.77" "1.31.0"]`) {
		t.Errorf("the log is %s", r.log())
	}
}

// TestRefused: what is wrong with the artifact itself is told at once, nothing of it is taken, and no attempt follows.
func TestRefused(t *testing.T) {
	zero := strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		edit func(t *testing.T, files memory)
		want string
	}{
		"no list":         {func(_ *testing.T, f memory) { delete(f, catalogue.File) }, `no layer of the artifact is the file "catalogue.yaml"`},
		"missing archive": {func(_ *testing.T, f memory) { delete(f, "further.tgz") }, `charts of Istio 1.31.77: no layer of the artifact is the file "further.tgz"`},
		"whole paths": {func(_ *testing.T, f memory) {
			f["charts/"+catalogue.File] = f[catalogue.File]
			delete(f, catalogue.File)
		}, "push the files from within their folder"},
		"no YAML":  {func(_ *testing.T, f memory) { f[catalogue.File] = []byte("versions: [") }, "read catalogue.yaml"},
		"bad list": {func(_ *testing.T, f memory) { f[catalogue.File] = []byte("versions:\n- {version: x}\n") }, `version "x"`},
		"wrong digest in the list": {func(_ *testing.T, f memory) {
			f[catalogue.File] = []byte("versions:\n" + item(further, "further.tgz", zero))
		}, "further.tgz: the digest is " + known(t, "1.31.0").SHA256 + " and has to be " + zero},
		"cut archive": {func(_ *testing.T, f memory) { f["further.tgz"] = f["further.tgz"][:1000] }, "further.tgz: unexpected EOF"},
		"other archive of a version": {func(t *testing.T, f memory) {
			f[catalogue.File] = []byte("versions:\n" + item(further, "further.tgz", known(t, "1.31.0").SHA256) + item("1.30.4", "further.tgz", known(t, "1.31.0").SHA256))
		}, "two archives of Istio 1.30.4: digest "},
		"two archives of a version": {func(t *testing.T, f memory) {
			older := known(t, "1.30.4")
			f[older.Archive] = archive(t, older)
			f[catalogue.File] = []byte("versions:\n" + item(further, "further.tgz", known(t, "1.31.0").SHA256) + item(further, older.Archive, older.SHA256))
		}, "two archives of Istio 1.31.77"},
		"large archive": {func(_ *testing.T, f memory) { f["further.tgz"] = make([]byte, maxArchive+1) }, "further.tgz has 8388609 bytes; 8388608 are possible"},
		"large list":    {func(_ *testing.T, f memory) { f[catalogue.File] = make([]byte, maxList+1) }, "catalogue.yaml has 1048577 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			files := folder(t)
			test.edit(t, files)
			r := newReader(t, push(t, server(t, nil), files))
			before := len(r.Catalogue.Entries())
			r.run(t)
			if got := r.says(t); !strings.Contains(got, r.reference.String()+" is refused: ") || !strings.Contains(got, test.want) {
				t.Errorf("it says %q, want %q", got, test.want)
			}
			if len(r.Catalogue.Entries()) != before || len(r.lines) != 1 || !strings.Contains(r.log(), "the artifact of Istio's charts is refused") {
				t.Errorf("%d versions were %d; the log is\n%s", len(r.Catalogue.Entries()), before, r.log())
			}
		})
	}
}

// TestOddManifests are those that "oras push" of files does not make.
func TestOddManifests(t *testing.T) {
	at := server(t, nil)
	titled := func(name string) map[string]string { return map[string]string{ocispec.AnnotationTitle: name} }
	t.Run("two layers of a name", func(t *testing.T) {
		kept := store.New()
		var layers []ocispec.Descriptor
		for _, text := range []string{"versions: []", "versions: [] # another"} {
			layer, err := oras.PushBytes(t.Context(), kept, "text/plain", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			layer.Annotations = titled(catalogue.File)
			layers = append(layers, layer)
		}
		r := newReader(t, pack(t, at, kept, layers))
		r.run(t)
		if got := r.says(t); !strings.Contains(got, `is refused: two layers are the file "catalogue.yaml"`) {
			t.Errorf("it says %s", got)
		}
	})
	t.Run("index", func(t *testing.T) {
		index := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`)
		pushed, err := oras.PushBytes(t.Context(), repository(t, at), ocispec.MediaTypeImageIndex, index)
		if err != nil {
			t.Fatal(err)
		}
		r := newReader(t, scheme+host(at)+"/fairlead/istio-charts@"+pushed.Digest.String())
		r.run(t)
		if got := r.says(t); !strings.Contains(got, "is refused: the digest is that of a "+ocispec.MediaTypeImageIndex) {
			t.Errorf("it says %s", got)
		}
	})
	t.Run("no layers", func(t *testing.T) {
		r := newReader(t, pack(t, at, store.New(), nil))
		r.run(t)
		if got := r.says(t); !strings.Contains(got, `is refused: no layer of the artifact is the file "catalogue.yaml"`) {
			t.Errorf("it says %s", got)
		}
	})
}

// TestTriesAgain: what a registry does wrong once is no reason to be without a version for ever.
func TestTriesAgain(t *testing.T) {
	for name, test := range map[string]struct {
		// path is a part of the path that is answered wrongly, the first time that it is asked for.
		path  string
		wrong func(w http.ResponseWriter, r *http.Request, right *httptest.ResponseRecorder)
		want  string
	}{
		"tampered blob":     {"/blobs/", tampered, "mismatched digest"},
		"tampered manifest": {"/manifests/", tampered, "mismatched digest"},
		"other manifest": {"/manifests/", func(w http.ResponseWriter, _ *http.Request, right *httptest.ResponseRecorder) {
			right.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			send(w, right, right.Body.Bytes())
		}, "digest mismatch"},
		"cut blob": {"/blobs/", func(w http.ResponseWriter, _ *http.Request, right *httptest.ResponseRecorder) {
			send(w, right, right.Body.Bytes()[:right.Body.Len()/2])
		}, "unexpected EOF"},
		"out of order": {"/blobs/", func(w http.ResponseWriter, _ *http.Request, _ *httptest.ResponseRecorder) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "503"},
		"not there yet": {"/manifests/", func(w http.ResponseWriter, _ *http.Request, _ *httptest.ResponseRecorder) {
			w.WriteHeader(http.StatusNotFound)
		}, "not found"},
		"silent": {"/manifests/", func(_ http.ResponseWriter, r *http.Request, _ *httptest.ResponseRecorder) {
			<-r.Context().Done()
		}, "not complete after"},
		"slow blob": {"/blobs/", func(w http.ResponseWriter, r *http.Request, right *httptest.ResponseRecorder) {
			right.Header().Set("Content-Length", strconv.Itoa(right.Body.Len()))
			send(w, right, right.Body.Bytes()[:10])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "not complete after"},
	} {
		t.Run(name, func(t *testing.T) {
			var armed, done atomic.Bool
			at := server(t, func(registry http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !armed.Load() || !strings.Contains(r.URL.Path, test.path) || done.Swap(true) {
						registry.ServeHTTP(w, r)
						return
					}
					right := httptest.NewRecorder()
					registry.ServeHTTP(right, r)
					test.wrong(w, r, right)
				})
			})
			reference := push(t, at, folder(t))
			armed.Store(true)
			r := newReader(t, reference, func(s *Source) {
				if strings.HasPrefix(test.want, "not complete") {
					s.timeout = 2 * time.Second
				}
			})
			r.run(t)
			if got := r.says(t); got != "" {
				t.Errorf("it says %s", got)
			}
			if len(r.lines) < 2 || !strings.Contains(r.lines[0], "cannot read Istio's charts") || !strings.Contains(r.lines[0], test.want) {
				t.Errorf("the log is\n%s\nwant %q", r.log(), test.want)
			}
		})
	}
}

func tampered(w http.ResponseWriter, _ *http.Request, right *httptest.ResponseRecorder) {
	body := bytes.Clone(right.Body.Bytes())
	body[len(body)/2] ^= 1
	send(w, right, body)
}

func send(w http.ResponseWriter, answer *httptest.ResponseRecorder, body []byte) {
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

// TestGoesOn: neither a registry that is away nor the end of the operator holds anything up.
func TestGoesOn(t *testing.T) {
	at := server(t, nil)
	reference := push(t, at, folder(t))
	at.Close()
	r := newReader(t, reference, func(s *Source) { s.pauses = pauses() })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	select {
	case <-r.wrote:
	case <-time.After(soon):
		t.Fatal("no attempt was made")
	}
	if got := r.says(t); !strings.Contains(got, " is not read yet; possible are 1.31.0") {
		t.Errorf("it says %s", got)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(soon):
		t.Fatal("it does not end")
	}
	if r.NeedLeaderElection() {
		t.Error("a replica that becomes the leader has no versions")
	}
}

// TestPauses: attempts are a second apart at first, and some minutes in the end.
func TestPauses(t *testing.T) {
	steps := pauses()
	first, last := steps.Step(), time.Duration(0)
	for range 20 {
		last = steps.Step()
	}
	if first < time.Second || first > 2*time.Second || last < 5*time.Minute || last > 8*time.Minute {
		t.Errorf("the first is %s, the last %s", first, last)
	}
}
