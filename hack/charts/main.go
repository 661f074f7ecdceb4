// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command charts makes the archives of Istio's charts, which are embedded in the operator, from the versions of the Go module istio.io/istio.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

const usage = `Makes the archives of Istio's charts that catalogue.yaml lists, beside it. What is there and has the right digest stays.

Usage: charts [flags]

  charts          make what is missing, and fail where a digest differs
  charts -update  write the digests into catalogue.yaml instead; a module that it has no sum of is checked by Go's checksum database

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir := flag.String("dir", "controllers/mesh/catalogue/charts", "folder of catalogue.yaml and the archives")
	update := flag.Bool("update", false, "write the digests into catalogue.yaml")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(ctx, *dir, *update); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, update bool) error {
	entries, err := catalogue.Read(os.DirFS(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Archive)
		if digest, err := digestOf(path); err == nil && digest == e.SHA256 {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := provide(ctx, e, path, update); err != nil {
			return fmt.Errorf("charts of Istio %s: %w", e.Version, err)
		}
	}
	return nil
}

// provide makes one archive.
func provide(ctx context.Context, e catalogue.Entry, path string, update bool) error {
	m, err := download(ctx, e)
	if err != nil {
		return err
	}
	raw, err := pack(os.DirFS(m.Dir))
	if err != nil {
		return err
	}
	digest := digest(raw)
	if digest != e.SHA256 {
		if !update {
			return fmt.Errorf("the digest of what the module holds is %s and has to be %s; \"go run ./hack/charts -update\" takes it over", digest, e.SHA256)
		}
		if err := record(filepath.Join(filepath.Dir(path), catalogue.File), e, m, digest); err != nil {
			return err
		}
	}
	fmt.Printf("%s: charts of Istio %s, from istio.io/istio %s\n", path, e.Version, e.Module)
	return write(path, raw)
}

// record puts the digests of a version into the list, as text, so that its comments stay.
func record(path string, e catalogue.Entry, m module, digest string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), "- version: "+e.Version.String()+"\n")
	if !ok {
		return fmt.Errorf("%s has no line \"- version: %s\"", path, e.Version)
	}
	entry, after, more := strings.Cut(rest, "\n- version: ")
	for field, value := range map[string]string{"sum": m.Sum, "goModSum": m.GoModSum, "sha256": digest} {
		lines := strings.Split(entry, "\n")
		found := false
		for i, line := range lines {
			if strings.HasPrefix(line, "  "+field+":") {
				lines[i], found = "  "+field+": "+value, true
			}
		}
		if !found {
			lines = append([]string{"  " + field + ": " + value}, lines...)
		}
		entry = strings.Join(lines, "\n")
	}
	text := before + "- version: " + e.Version.String() + "\n" + entry
	if more {
		text += "\n- version: " + after
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
