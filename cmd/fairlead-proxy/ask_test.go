// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead/fairlead/test/haproxy"
)

func TestAsk(t *testing.T) {
	haproxy.Each(t, func(t *testing.T, v haproxy.Version) {
		t.Parallel()
		dir := v.Dir(t)
		p := startProgram(t, dir, v.Program)
		p.write(configFile, fmt.Sprintf("global\n  stats socket %s/admin.sock level admin\n%s", dir, answering(dir, "hello")))
		p.serves("hello")
		var out bytes.Buffer
		if err := ask([]string{"--dir=" + dir, "show", "info"}, &out); err != nil || !strings.Contains(out.String(), "Version: "+v.Name+".") {
			t.Errorf("show info is answered %q, %v", out.String(), err)
		}
		for _, args := range [][]string{{"--dir=" + dir}, {"--dir=" + dir, "show info\nshow stat"}, {"--dir=" + t.TempDir(), "show info"}} {
			if err := ask(args, &out); err == nil {
				t.Errorf("ask %q fails in no way", args)
			}
		}
	})
}
