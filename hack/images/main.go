// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command images builds the container images of the test cluster.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead/fairlead/test/images"
)

const usage = `Builds container images into the cache, without Docker and without a registry.

Usage: images [flags] [NAME...]

  images                       build all, or take them from the cache
  images operator echo         build these two
  images -refresh haproxy-3.2  build it again, from the packages of today
  images -list                 say which images there are

It prints the reference, the digest, the size in MB and the path of each; a path is for "ctr -n k8s.io images import".
The images of HAProxy need root and mmdebstrap.

Environment:
  FAIRLEAD_CACHE  root of the cache; the images that are the same for all checkouts are in its folder images

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var opts images.Options
	flag.StringVar(&opts.Root, "root", ".", "folder of Fairlead's go.mod")
	flag.BoolVar(&opts.Refresh, "refresh", false, "build again what the cache has")
	flag.Func("reference", "name an image otherwise, like operator=fairlead:dev; may be repeated", func(value string) error {
		name, ref, ok := strings.Cut(value, "=")
		if !ok {
			return fmt.Errorf("want NAME=REFERENCE, have %q", value)
		}
		if opts.References == nil {
			opts.References = map[string]string{}
		}
		opts.References[name] = ref
		return nil
	})
	list := flag.Bool("list", false, "print the names and build nothing")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if *list {
		fmt.Println(strings.Join(images.Names(), "\n"))
		return
	}
	if err := run(ctx, opts, flag.Args()); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "images:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, opts images.Options, names []string) error {
	began := time.Now()
	opts.Log = func(format string, args ...any) {
		_, _ = fmt.Fprintf(os.Stderr, "[%5.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	built, err := images.Build(ctx, opts, names...)
	if err != nil {
		return err
	}
	for _, img := range built {
		info, err := os.Stat(img.Path)
		if err != nil {
			return err
		}
		fmt.Printf("%-52s %s %6.1f MB %s\n", img.Reference, img.Digest, float64(info.Size())/1e6, img.Path)
	}
	return nil
}
