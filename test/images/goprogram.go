// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// goProgram is a statically linked program.
type goProgram struct {
	// Module is a folder of hack/images with a module of its own; empty means Fairlead's.
	Module string
	// Package is built.
	Package string
	// Path is where the program goes in the image.
	Path string
	Tags string
	// Variables are set by the linker, each importpath.name=value.
	Variables []string
}

// goPrograms are several of Fairlead's own module, in one image.
type goPrograms []goProgram

func (goPrograms) what() string { return goProgram{}.what() }

func (goPrograms) key(context.Context, string) (string, error) { return "", nil }

func (all goPrograms) add(ctx context.Context, root, work string, into tree) error {
	for _, p := range all {
		own := filepath.Join(work, p.Path)
		if err := os.Mkdir(own, 0o700); err != nil {
			return err
		}
		if err := p.add(ctx, root, own, into); err != nil {
			return err
		}
	}
	return nil
}

func (p goProgram) what() string {
	return "from source; minutes where Go's build cache is empty"
}

func (p goProgram) dir(root string) string {
	if p.Module == "" {
		return root
	}
	return moduleDir(root, p.Module)
}

// key covers a module that pins all it is made of. What Fairlead's own module is made of, the compiler knows best.
func (p goProgram) key(ctx context.Context, root string) (string, error) {
	if p.Module == "" {
		return "", nil
	}
	version, err := p.goCommand(ctx, root, "env", "GOVERSION", "GOARCH", "GOAMD64", "GOARM64", "GOEXPERIMENT").Output()
	if err != nil {
		return "", fmt.Errorf("ask Go for its version: %w", err)
	}
	parts := []string{string(version), strings.Join(p.args(""), "\x00")}
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(p.dir(root), file))
		if err != nil {
			return "", err
		}
		parts = append(parts, string(data))
	}
	return hash(parts...), nil
}

func (p goProgram) add(ctx context.Context, root, work string, into tree) error {
	binary := filepath.Join(work, "program")
	var output bytes.Buffer
	cmd := p.goCommand(ctx, root, p.args(binary)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s in %s: %w\n%s", strings.Join(cmd.Args, " "), cmd.Dir, err, bytes.TrimSpace(output.Bytes()))
	}
	into.copyOf(p.Path, 0o755, binary)
	return nil
}

func (p goProgram) args(output string) []string {
	linker := []string{"-s", "-w"}
	for _, v := range p.Variables {
		linker = append(linker, "-X", v)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", strings.Join(linker, " ")}
	if p.Tags != "" {
		args = append(args, "-tags", p.Tags)
	}
	return append(args, "-o", output, p.Package)
}

// goCommand keeps the person's settings out of the program.
func (p goProgram) goCommand(ctx context.Context, root string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.dir(root)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	return cmd
}
