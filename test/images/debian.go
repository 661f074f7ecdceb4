// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/fairlead/fairlead/test/host"
)

// debian is the files of packages and of what they depend on; no script of a package runs.
type debian struct {
	Suite    string
	Packages []string
	// Finish is called with the whole tree.
	Finish func(tree)
}

func (d debian) what() string {
	return fmt.Sprintf("from packages of Debian %s; seconds to a minute, and needs the network", d.Suite)
}

func (d debian) key(context.Context, string) (string, error) {
	return hash(append([]string{d.Suite}, d.Packages...)...), nil
}

func (d debian) add(ctx context.Context, _, work string, into tree) error {
	if os.Geteuid() != 0 {
		return errors.New("fetching Debian packages needs root: run it as root")
	}
	if err := host.Ensure(ctx, nil, host.Program("mmdebstrap", "mmdebstrap")); err != nil {
		return err
	}
	mirror, err := findMirror("/etc/apt")
	if err != nil {
		return err
	}
	// apt drops its privileges to fetch, and has to get there.
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	args := []string{
		"--variant=extract", "--mode=root", "--format=directory", "--include=" + strings.Join(d.Packages, ","),
		// Snapshots of a mirror outlive the validity of their lists.
		`--aptopt=Acquire::Check-Valid-Until "false"`,
		d.Suite, root, fmt.Sprintf("deb [signed-by=%s] %s %s main", mirror.keyring, mirror.uri, d.Suite),
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+work)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("mmdebstrap %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(output.Bytes()))
	}
	if err := importDebian(root, into); err != nil {
		return err
	}
	if d.Finish != nil {
		d.Finish(into)
	}
	return nil
}
