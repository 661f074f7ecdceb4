// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fullReference completes a reference the way containerd names images.
func fullReference(ref string) (string, error) {
	tag, err := name.NewTag(ref)
	if err != nil {
		return "", err
	}
	return reference(tag), nil
}

// reference spells Docker Hub as people and containerd do, where the library has index.docker.io.
func reference(tag name.Tag) string {
	registry, repository := tag.RegistryStr(), tag.RepositoryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + repository + ":" + tag.TagStr()
}

// assemble makes an image of one layer. It is not compressed: it travels from one folder of a machine to another.
func assemble(layer []byte, r recipe) (v1.Image, error) {
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer, types.DockerUncompressedLayer))
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Created = v1.Time{Time: epoch()}
	file.History = nil
	file.Config = v1.Config{
		User: r.config.User, Entrypoint: r.config.Entrypoint, StopSignal: r.config.StopSignal,
		WorkingDir: cmp.Or(r.config.Dir, "/"),
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	if r.base {
		file.Config.Env = append(file.Config.Env, "SSL_CERT_FILE=/"+certificatesPath)
	}
	return mutate.ConfigFile(img, file)
}

// save replaces a docker-archive as a whole.
func save(path, ref string, img v1.Image) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = tarball.Write(tag, img, f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

// load returns the digest and the reference of the image in a docker-archive, or nothing where there is no archive.
func load(path string) (digest, ref string, err error) {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read %s: %w", path, err)
	}
	if len(manifest) != 1 || len(manifest[0].RepoTags) != 1 {
		return "", "", fmt.Errorf("read %s: want one image with one reference, have %d images", path, len(manifest))
	}
	tag, err := name.NewTag(manifest[0].RepoTags[0])
	return manifest[0].Config, reference(tag), err
}
