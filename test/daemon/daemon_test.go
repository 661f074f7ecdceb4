// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
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

// TestDyingCountsAsRunning has the first thread of a process end before another one.
func TestDyingCountsAsRunning(t *testing.T) {
	if os.Getenv(envDying) != "" {
		dieSlowly()
	}
	dying := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	dying.Env = append(os.Environ(), envDying+"=1")
	hold, err := dying.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dying.Start(); err != nil {
		t.Fatal(err)
	}
	zombie := func(context.Context) (bool, error) {
		_, state, err := processStat(dying.Process.Pid)
		return state == "Z", err
	}
	if err := wait.PollUntilContextTimeout(t.Context(), killPoll, killTimeout, true, zombie); err != nil {
		t.Fatal(err)
	}
	if !Running(dying.Process.Pid) {
		t.Error("a process whose threads still run counts as ended")
	}
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	_ = dying.Wait()
	if Running(dying.Process.Pid) {
		t.Error("an ended process counts as running")
	}
}

const envDying = "FAIRLEAD_TEST_DYING"

// dieSlowly ends the first thread, and the process when its input ends.
func dieSlowly() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	// Nothing but the exit of that very thread: the others go on.
	for {
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == os.Getpid() {
				_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
			}
			done <- true
		}()
		<-done
	}
}
