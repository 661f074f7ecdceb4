// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingIsNamed(t *testing.T) {
	// Without apt-get in the path nothing can be installed.
	t.Setenv("PATH", t.TempDir())
	err := Ensure(t.Context(), t.Logf, Program("no-such-program", "some-package"), File("plugins", "other-package", "bridge", t.TempDir()))
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, word := range []string{"no-such-program", "plugins", "other-package, some-package"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not name %s", err, word)
		}
	}
}

func TestMetNeedsInstallNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "program"), nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), t.Logf, Program("program", "p"), File("file", "p", "program", t.TempDir(), dir)); err != nil {
		t.Error(err)
	}
}
