// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/controllers/mesh/catalogue"
)

const istio = "istio.io/istio"

// module is what Go says of a downloaded module.
type module struct {
	Dir, Sum, GoModSum, Error string
}

// download brings a version of Istio's module into Go's cache. A go.sum made of the list's sums is what Go checks it by; a module that
// the list has no sums of is checked by Go's checksum database.
func download(ctx context.Context, e catalogue.Entry) (module, error) {
	dir, err := os.MkdirTemp("", "charts-")
	if err != nil {
		return module{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var sums strings.Builder
	if e.Sum != "" && e.GoModSum != "" {
		fmt.Fprintf(&sums, "%s %s %s\n%s %s/go.mod %s\n", istio, e.Module, e.Sum, istio, e.Module, e.GoModSum)
	}
	for name, text := range map[string]string{"go.mod": "module charts\n\ngo 1.26.0\n", "go.sum": sums.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return module{}, err
		}
	}
	var output, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", istio+"@"+e.Module)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	cmd.Stdout, cmd.Stderr = &output, &problems
	failed := cmd.Run()
	var m module
	if err := json.Unmarshal(output.Bytes(), &m); err == nil && m.Error != "" {
		return module{}, fmt.Errorf("download %s: %s", istio, m.Error)
	} else if failed != nil {
		return module{}, fmt.Errorf("download %s: %w\n%s", istio, failed, bytes.TrimSpace(problems.Bytes()))
	} else if err != nil {
		return module{}, fmt.Errorf("download %s: %w", istio, err)
	}
	return m, nil
}
