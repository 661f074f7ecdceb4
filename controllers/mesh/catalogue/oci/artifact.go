// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

// Bounds of what is kept in memory. The charts of a version are 150 KB.
const (
	maxList    = 1 << 20
	maxArchive = 8 << 20
	maxAll     = 32 << 20
)

// userAgent is how the operator introduces itself to registries.
const userAgent = "fairlead"

// pull reads the files of the artifact and holds them against their digests: those of their layers, and those of the list.
func (s *Source) pull(ctx context.Context) (memory, []catalogue.Entry, error) {
	repository, err := s.repository()
	if err != nil {
		return nil, nil, err
	}
	layers, err := s.layers(ctx, repository)
	if err != nil {
		return nil, nil, err
	}
	p := &puller{repository: repository, layers: layers, files: memory{}}
	if err := p.fetch(ctx, catalogue.File, maxList); err != nil {
		return nil, nil, err
	}
	entries, err := catalogue.Read(p.files)
	if err != nil {
		return nil, nil, refuse(err)
	}
	for _, e := range entries {
		if err := p.fetch(ctx, e.Archive, maxArchive); err != nil {
			return nil, nil, fmt.Errorf("charts of Istio %s: %w", e.Version, err)
		}
		if err := e.Verify(); err != nil {
			return nil, nil, refuse(err)
		}
	}
	return p.files, entries, nil
}

// repository is a client of the registry.
func (s *Source) repository() (*remote.Repository, error) {
	client := &auth.Client{Client: &http.Client{Transport: guard{s.transport}}, Cache: auth.NewCache()}
	client.SetUserAgent(userAgent)
	if s.Credentials != "" {
		lookup, err := users(s.Credentials)
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		client.Credential = lookup
	}
	return &remote.Repository{
		Client: client, Reference: s.reference.at, PlainHTTP: loopback(s.reference.at.Registry), MaxMetadataBytes: maxList,
		ManifestMediaTypes: []string{ocispec.MediaTypeImageManifest},
	}, nil
}

// errCredentials stands for the library's errors, which repeat what they cannot read.
var errCredentials = errors.New("the file is no Docker configuration with \"auths\" that can be read")

// users finds the user of a registry in a Docker configuration file.
func users(path string) (auth.CredentialFunc, error) {
	// What is missing is an empty file to the library.
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	store, err := credentials.NewFileStore(path)
	if err != nil {
		return nil, errCredentials
	}
	lookup := credentials.Credential(store)
	return func(ctx context.Context, host string) (auth.Credential, error) {
		user, err := lookup(ctx, host)
		if err != nil {
			return user, errCredentials
		}
		return user, nil
	}, nil
}

// guard refuses plain HTTP to other machines, also where a registry redirects to it or has its tokens there.
type guard struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" && !loopback(request.URL.Host) {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, errors.New("plain HTTP to another machine is refused")
	}
	return g.RoundTripper.RoundTrip(request)
}

// layers are those of the artifact, by the names of their files.
func (s *Source) layers(ctx context.Context, repository *remote.Repository) (map[string]ocispec.Descriptor, error) {
	found, body, err := repository.Manifests().FetchReference(ctx, s.reference.at.Reference)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	defer func() { _ = body.Close() }()
	if found.Size > maxList {
		return nil, fmt.Errorf("the manifest has %d bytes; %d are possible", found.Size, maxList)
	}
	// What the registry says of the digest does not count.
	raw, err := content.ReadAll(body, ocispec.Descriptor{Digest: digest.Digest(s.reference.at.Reference), Size: found.Size})
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, refuse(fmt.Errorf("the manifest: %w", err))
	}
	if manifest.MediaType != "" && manifest.MediaType != ocispec.MediaTypeImageManifest {
		return nil, refuse(fmt.Errorf("the digest is that of a %s, and has to be that of a manifest", manifest.MediaType))
	}
	out := map[string]ocispec.Descriptor{}
	for _, layer := range manifest.Layers {
		name := layer.Annotations[ocispec.AnnotationTitle]
		if other, ok := out[name]; ok && other.Digest != layer.Digest {
			return nil, refuse(fmt.Errorf("two layers are the file %q", name))
		}
		if name != "" {
			out[name] = layer
		}
	}
	return out, nil
}

// puller collects files.
type puller struct {
	repository *remote.Repository
	layers     map[string]ocispec.Descriptor
	files      memory
	size       int64
}

// fetch reads a file, unless it is there already.
func (p *puller) fetch(ctx context.Context, name string, most int64) error {
	if _, ok := p.files[name]; ok {
		return nil
	}
	layer, ok := p.layers[name]
	if !ok {
		return refuse(fmt.Errorf("no layer of the artifact is the file %q; push the files from within their folder", name))
	}
	if err := layer.Digest.Validate(); err != nil {
		return refuse(fmt.Errorf("%s: %w", name, err))
	}
	if layer.Size < 0 || layer.Size > most || p.size+layer.Size > maxAll {
		return refuse(fmt.Errorf("%s has %d bytes; %d are possible, and %d for all files", name, layer.Size, most, maxAll))
	}
	p.size += layer.Size
	body, err := p.repository.Blobs().Fetch(ctx, layer)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer func() { _ = body.Close() }()
	if p.files[name], err = content.ReadAll(body, layer); err != nil {
		delete(p.files, name)
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
