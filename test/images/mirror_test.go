// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindMirror(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  mirror
	}{
		"one line": {
			files: map[string]string{"sources.list": "# deb http://old.example.com/debian sid main\n" +
				"deb-src http://src.example.com/debian sid main\ndeb http://deb.example.com/debian bookworm main # the mirror\n"},
			want: mirror{"http://deb.example.com/debian", defaultKeyring},
		},
		"one line with options": {
			files: map[string]string{"sources.list.d/a.list": "deb [ arch=amd64 signed-by=/keys/a.gpg ] https://deb.example.com/debian sid main contrib\n"},
			want:  mirror{"https://deb.example.com/debian", "/keys/a.gpg"},
		},
		"stanzas": {
			files: map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://security.example.com\nSuites: trixie-security\n" +
				"Components: main\n\nEnabled: no\nTypes: deb\nURIs: http://off.example.com\nSuites: trixie\nComponents: main\n\n" +
				"# A comment\nTypes: deb deb-src\nURIs: http://deb.example.com/debian\n http://two.example.com\n" +
				"Suites: trixie trixie-updates\nComponents: main\nSigned-By: /keys/b.gpg\n"},
			want: mirror{"http://deb.example.com/debian", "/keys/b.gpg"},
		},
		"key in the stanza": {
			files: map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://deb.example.com/debian\nSuites: sid\n" +
				"Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY\n"},
			want: mirror{"http://deb.example.com/debian", defaultKeyring},
		},
		"others only": {
			files: map[string]string{
				"sources.list":                  "deb cdrom:[Debian] bookworm main\ndeb http://archive.example.com/ubuntu noble main\n",
				"sources.list.d/docker.list":    "deb [signed-by=/k] https://docker.example.com/linux/debian bookworm stable\n",
				"sources.list.d/pgdg.list":      "deb https://pg.example.com/apt bookworm-pgdg main\n",
				"sources.list.d/debian.ignored": "deb http://deb.example.com/debian sid main\n",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "sources.list.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := findMirror(dir)
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if (err != nil) != (tt.want == mirror{}) || err != nil && !strings.Contains(err.Error(), "name no mirror of Debian") {
				t.Error(err)
			}
		})
	}
}
