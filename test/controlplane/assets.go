// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Version is the Kubernetes release that runs where nothing else is asked for.
const Version = "v1.37.2"

const (
	// EnvAssets names a folder with the binaries, as envtest reads it.
	EnvAssets = "KUBEBUILDER_ASSETS"
	// EnvVersion asks for a Kubernetes release other than Version, like v1.30.14.
	EnvVersion = "FAIRLEAD_KUBERNETES"
	// EnvCache names the root of Fairlead's cache, instead of fairlead in the user's cache folder.
	EnvCache = "FAIRLEAD_CACHE"
)

// Assets returns the folder with the binaries of a control plane.
//
// A release named by $FAIRLEAD_KUBERNETES comes from the cache. Where none is named, it is
// $KUBEBUILDER_ASSETS, or else Version in the cache. The error of a folder that lacks a binary says
// which command builds it.
func Assets() (string, error) {
	version := os.Getenv(EnvVersion)
	if dir := os.Getenv(EnvAssets); dir != "" && version == "" {
		if err := checkAssets(dir, basic()...); err != nil {
			return "", fmt.Errorf("%s: %w; correct it, or unset it and run \"make kubernetes\"", EnvAssets, err)
		}
		return filepath.Abs(dir)
	}
	if version == "" {
		return cached(Version, "make kubernetes", basic()...)
	}
	return cached(version, "make kubernetes KUBERNETES_VERSION="+version, basic()...)
}

// NodeAssets returns the folder in the cache with the binaries of a control plane and a node, of release Version.
func NodeAssets() (string, error) {
	return cached(Version, "make kubernetes-node", append(basic(), Scheduler, "kubelet", "kube-proxy")...)
}

func basic() []Component { return []Component{Etcd, APIServer, ControllerManager} }

func cached(version, build string, want ...Component) (string, error) {
	root, err := CacheRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "kubernetes", version)
	if err := checkAssets(dir, want...); err != nil {
		return "", fmt.Errorf("binaries of Kubernetes %s: %w; run %q", version, err, build)
	}
	return dir, nil
}

// CacheRoot is the folder of everything that is built once and kept for all checkouts.
func CacheRoot() (string, error) {
	if root := os.Getenv(EnvCache); root != "" {
		return filepath.Abs(root)
	}
	root, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder (or set %s): %w", EnvCache, err)
	}
	return filepath.Join(root, "fairlead"), nil
}

func checkAssets(dir string, want ...Component) error {
	var missing []string
	for _, c := range want {
		info, err := os.Stat(filepath.Join(dir, string(c)))
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&0o111 == 0 {
			missing = append(missing, string(c))
		} else if err != nil {
			return err
		}
	}
	if missing != nil {
		return fmt.Errorf("no %s in %s", strings.Join(missing, ", "), dir)
	}
	return nil
}
