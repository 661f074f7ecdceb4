// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"os"

	"github.com/fairlead/fairlead/test/daemon"
	"github.com/fairlead/fairlead/test/images"
	"github.com/fairlead/fairlead/test/operator"
)

// BuildAndLoad builds images and loads them. The operator's gets the name $IMG, if that is set.
func (c *Cluster) BuildAndLoad(ctx context.Context, log func(format string, args ...any), names ...string) error {
	root, err := operator.Root()
	if err != nil {
		return err
	}
	references := map[string]string{}
	if img := os.Getenv("IMG"); img != "" {
		references["operator"] = img
	}
	built, err := images.Build(ctx, images.Options{Root: root, References: references, Log: log}, names...)
	if err != nil {
		return err
	}
	c.opts.Log = log
	return c.Load(ctx, built...)
}

// Load brings images into containerd, unless those very ones are there.
func (c *Cluster) Load(ctx context.Context, all ...images.Image) error {
	loaded := map[string]string{}
	record := c.path("images.json")
	if err := daemon.ReadJSON(record, &loaded); err != nil {
		return err
	}
	for _, image := range all {
		if loaded[image.Reference] == image.Digest {
			continue
		}
		if _, err := c.ctr(ctx, "--namespace=k8s.io", "images", "import", image.Path); err != nil {
			return err
		}
		c.opts.Log("loaded %s", image.Reference)
		loaded[image.Reference] = image.Digest
		if err := daemon.WriteJSON(record, loaded); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	return c.inside(ctx, append([]string{"ctr", "--address", containerdSocket}, args...)...)
}
