// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// unwanted is what no program in a container reads, what tells of the machine that built it, and Perl, which is there for
// the scripts of packages. They are patterns of path.Match.
var unwanted = []string{
	"boot", "dev", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "var",
	"etc/apt", "etc/cron.daily", "etc/default", "etc/dpkg", "etc/hostname", "etc/hosts", "etc/init.d", "etc/logrotate.d",
	"etc/resolv.conf", "etc/rsyslog.d", "etc/systemd", "etc/vim",
	"usr/bin/perl*", "usr/lib/*/libperl.so*", "usr/lib/*/perl*", "usr/share/perl*",
	"usr/lib/*/gconv", "usr/lib/init", "usr/lib/systemd/system", "usr/lib/udev",
	"usr/share/bash-completion", "usr/share/bug", "usr/share/doc", "usr/share/doc-base", "usr/share/info",
	"usr/share/lintian", "usr/share/locale", "usr/share/man", "usr/share/zsh",
}

// merged are the folders at the root that are links to those of the same name in usr.
var merged = []string{"bin", "lib", "lib64", "sbin"}

// importDebian adds what of a root folder belongs into an image. Files belong to root, and none gives its user more rights.
func importDebian(root string, into tree) error {
	err := filepath.WalkDir(root, func(full string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, full)
		if err != nil || name == "." {
			return err
		}
		if isUnwanted(name) {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return addDebian(into, full, filepath.ToSlash(name), entry)
	})
	if err != nil {
		return fmt.Errorf("read what mmdebstrap made: %w", err)
	}
	for _, name := range merged {
		into.symlink(name, "usr/"+name)
	}
	return nil
}

func isUnwanted(name string) bool {
	return slices.ContainsFunc(unwanted, func(pattern string) bool {
		match, _ := path.Match(pattern, name)
		return match
	})
}

func addDebian(into tree, full, name string, entry fs.DirEntry) error {
	isMerged := slices.Contains(merged, strings.SplitN(name, "/", 2)[0])
	if isMerged {
		if slices.Contains(merged, name) {
			return nil
		}
		name = "usr/" + name
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		into.dir(name, int64(mode.Perm()), 0)
	case mode.IsRegular():
		into.copyOf(name, int64(mode.Perm()), full)
	case mode.Type() == fs.ModeSymlink:
		target, err := os.Readlink(full)
		if err != nil {
			return err
		}
		// A link from one of the merged folders to the other gives way to the file.
		if _, ok := into[name]; !ok && !pointsTo(target, name) {
			into.symlink(name, target)
		}
	default:
		return fmt.Errorf("/%s is neither a file nor a folder nor a link", name)
	}
	return nil
}

// pointsTo reports whether an absolute link leads, by way of the merged folders, to the name itself.
func pointsTo(target, name string) bool {
	target = strings.TrimPrefix(path.Clean(target), "/")
	return target == name || "usr/"+target == name
}
