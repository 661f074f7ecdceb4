// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package host sees to it that this machine has the programs that a test needs.
package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Need is something that has to be on the machine.
type Need struct {
	// What it is, for a person.
	What string
	// Package is Debian's package that has it.
	Package string
	// Met reports whether it is there.
	Met func() bool
}

// Program is the need of a program in the path.
func Program(name, pkg string) Need {
	return Need{What: name, Package: pkg, Met: func() bool {
		_, err := exec.LookPath(name)
		return err == nil
	}}
}

// File is the need of a file in one of several folders.
func File(what, pkg, name string, folders ...string) Need {
	return Need{What: what, Package: pkg, Met: func() bool { return Find(name, folders...) != "" }}
}

// Find is the first of the folders that has a file, or empty.
func Find(name string, folders ...string) string {
	i := slices.IndexFunc(folders, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
	if i < 0 {
		return ""
	}
	return folders[i]
}

// Ensure makes sure that all needs are met. As root on Debian it installs what is missing; elsewhere the error says
// what is. log may be nil.
func Ensure(ctx context.Context, log func(format string, args ...any), needs ...Need) error {
	missing, packages := unmet(needs)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing on this machine: %s; install them (Debian's packages are %s)",
			strings.Join(missing, ", "), strings.Join(packages, ", "))
	}
	if log != nil {
		log("installing Debian's packages %s", strings.Join(packages, ", "))
	}
	if err := install(ctx, packages); err != nil {
		return err
	}
	if missing, _ := unmet(needs); len(missing) > 0 {
		return fmt.Errorf("still missing on this machine after the installation of %s: %s",
			strings.Join(packages, ", "), strings.Join(missing, ", "))
	}
	return nil
}

func unmet(needs []Need) (missing, packages []string) {
	for _, need := range needs {
		if !need.Met() {
			missing, packages = append(missing, need.What), append(packages, need.Package)
		}
	}
	slices.Sort(packages)
	return missing, slices.Compact(packages)
}

func install(ctx context.Context, packages []string) error {
	common := []string{"-o", "DPkg::Lock::Timeout=300", "-qq", "--no-install-recommends", "-y"}
	for _, args := range [][]string{slices.Concat(common, []string{"update"}), slices.Concat(common, []string{"install"}, packages)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
