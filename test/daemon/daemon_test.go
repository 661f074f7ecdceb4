// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os/exec"
	"testing"
)

// TestReusedPIDIsNotKilled plays a record whose process id belongs to another process by now.
func TestReusedPIDIsNotKilled(t *testing.T) {
	stranger := exec.Command("cat")
	hold, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	started, _, err := processStat(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Record{
		"other start": {PID: stranger.Process.Pid, Started: started + "1", Boot: boot},
		"other boot":  {PID: stranger.Process.Pid, Started: started, Boot: "an earlier one"},
	} {
		d := &Daemon{Record: r}
		if d.Alive() {
			t.Errorf("%s: counts as alive", name)
		}
		if err := d.Kill(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A killed process would not end by itself with success.
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	if err := stranger.Wait(); err != nil {
		t.Errorf("the stranger was killed: %v", err)
	}
}
