// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package catalogue

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// The charts of a version, by the folder in the archive.
const (
	Base    = "base"
	Default = "default"
	Istiod  = "istiod"
	CNI     = "cni"
	ZTunnel = "ztunnel"
	Gateway = "gateway"
)

// Names are all charts of a version.
func Names() []string { return []string{Base, CNI, Default, Gateway, Istiod, ZTunnel} }

// maxSize bounds the unpacked charts of a version, which are 1.5 MB.
const maxSize = 64 << 20

// defaultsKey is where Istio's charts have their default values.
const defaultsKey = "_internal_defaults_do_not_set"

// Charts are the charts of a version. They are not changed after they were loaded.
type Charts struct {
	Version Version
	byName  map[string]*chart.Chart
}

// load reads and checks an archive.
func load(e Entry) (*Charts, error) {
	raw, err := e.unpack()
	if err != nil {
		return nil, err
	}
	return parse(e.Version, raw)
}

// Verify reads the archive of a version and holds it against its digest.
func (e Entry) Verify() error {
	_, err := e.unpack()
	return err
}

func (e Entry) unpack() ([]byte, error) {
	file, err := e.source.Open(e.Archive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the charts of Istio %s are not in this build: run make charts", e.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("the charts of Istio %s: %w", e.Version, err)
	}
	defer func() { _ = file.Close() }()
	raw, digest, err := Unpack(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Archive, err)
	}
	if digest != e.SHA256 {
		return nil, fmt.Errorf("%s: the digest is %s and has to be %s", e.Archive, digest, e.SHA256)
	}
	return raw, nil
}

// Unpack gives the tar in an archive, and its digest in hex.
func Unpack(in io.Reader) (raw []byte, digest string, err error) {
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		return nil, "", err
	}
	raw, err = io.ReadAll(io.LimitReader(unpacked, maxSize+1))
	if err != nil {
		return nil, "", err
	}
	if len(raw) > maxSize {
		return nil, "", fmt.Errorf("larger than %d bytes", maxSize)
	}
	sum := sha256.Sum256(raw)
	return raw, hex.EncodeToString(sum[:]), nil
}

func parse(v Version, raw []byte) (*Charts, error) {
	files := map[string][]*archive.BufferedFile{}
	in := tar.NewReader(bytes.NewReader(raw))
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the charts of Istio %s: %w", v, err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("read the charts of Istio %s: %w", v, err)
		}
		if folder, name, ok := strings.Cut(header.Name, "/"); ok {
			files[folder] = append(files[folder], &archive.BufferedFile{Name: name, Data: data})
		}
	}
	out := &Charts{Version: v, byName: map[string]*chart.Chart{}}
	for _, name := range Names() {
		loaded, err := loader.LoadFiles(files[name])
		if err != nil {
			return nil, fmt.Errorf("chart %s of Istio %s: %w", name, v, err)
		}
		// The sources have a placeholder, which the release replaces.
		loaded.Metadata.Version, loaded.Metadata.AppVersion = v.String(), v.String()
		// Helm's second copy of every file.
		loaded.Raw = nil
		out.byName[name] = loaded
	}
	return out, nil
}

// Chart is one chart without the templates of these names, which are files in its folder templates. It shares everything else with
// other callers and must not be changed.
func (c *Charts) Chart(name string, without ...string) (*chart.Chart, error) {
	whole := c.byName[name]
	if whole == nil {
		return nil, fmt.Errorf("no chart %s of Istio %s", name, c.Version)
	}
	if len(without) == 0 {
		return whole, nil
	}
	part := *whole
	part.Templates = nil
	for _, t := range whole.Templates {
		if !slices.Contains(without, strings.TrimPrefix(t.Name, "templates/")) {
			part.Templates = append(part.Templates, t)
		}
	}
	return &part, nil
}

// Values are the default values of a chart. They must not be changed.
func (c *Charts) Values(name string) map[string]any {
	whole := c.byName[name]
	if whole == nil {
		return nil
	}
	if defaults, ok := whole.Values[defaultsKey].(map[string]any); ok {
		return defaults
	}
	return whole.Values
}

// Texts are a chart's templates and the files that templates include, by path.
func (c *Charts) Texts(name string) map[string][]byte {
	out := map[string][]byte{}
	if whole := c.byName[name]; whole != nil {
		for _, f := range whole.Templates {
			out[f.Name] = f.Data
		}
		for _, f := range whole.Files {
			out[f.Name] = f.Data
		}
	}
	return out
}

// Profiles are the names of the chart's profiles, sorted. "default" and "minimal" are the charts' default values; they are no files.
func (c *Charts) Profiles() []string {
	out := []string{"default", "minimal"}
	for path := range c.Texts(Istiod) {
		name, ok := strings.CutPrefix(path, "files/profile-")
		if ok && !strings.HasPrefix(name, "platform-") && !strings.HasPrefix(name, "compatibility-") {
			out = append(out, strings.TrimSuffix(name, ".yaml"))
		}
	}
	slices.Sort(out)
	return out
}
