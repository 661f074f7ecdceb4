// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	killTimeout = 20 * time.Second
	killPoll    = 5 * time.Millisecond
	tailBytes   = 4096
)

// record identifies a process for good: an id alone may belong to another one by now.
type record struct {
	PID int `json:"pid"`
	// Started is the time of its start in clock ticks since the boot.
	Started string   `json:"started"`
	Boot    string   `json:"boot"`
	Args    []string `json:"args"`
}

// process is one component, of this run or of an earlier one. Methods accept nil, which never runs.
type process struct {
	record
	name    Component
	logPath string
	// recordPath is where the record is kept; it is empty for a process that dies with this one.
	recordPath string
	// logStart is where the log of this process begins in the file.
	logStart int64
	// exited is closed when a child of this process was reaped; nil for one of an earlier run.
	exited chan struct{}
}

func (p *process) start(spawn func(*exec.Cmd) error) error {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	if p.logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := spawn(cmd); err != nil {
		return err
	}
	p.PID = cmd.Process.Pid
	p.exited = make(chan struct{})
	if p.Started, _, err = processStat(p.PID); err == nil {
		p.Boot, err = bootID()
	}
	if err == nil && p.recordPath != "" {
		err = writeJSON(p.recordPath, p.record)
	}
	if err != nil {
		_ = cmd.Process.Kill()
	}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	return err
}

func (p *process) alive() bool {
	if p == nil || p.PID == 0 {
		return false
	}
	if p.exited != nil {
		select {
		case <-p.exited:
			return false
		default:
		}
	}
	started, state, err := processStat(p.PID)
	if err != nil || started != p.Started || state == "Z" || state == "X" {
		return false
	}
	boot, err := bootID()
	return err == nil && boot == p.Boot
}

// kill ends the process as kill -9 does, and returns when it is gone.
func (p *process) kill() error {
	if p == nil || p.PID == 0 {
		return nil
	}
	// The handle pins the process, so the check after it cannot be outrun by a reuse of the id.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	if !p.alive() {
		return p.forget()
	}
	if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	deadline := time.Now().Add(killTimeout)
	for p.alive() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s (pid %d) is still there %s after SIGKILL", p.name, p.PID, killTimeout)
		}
		time.Sleep(killPoll)
	}
	return p.forget()
}

func (p *process) forget() error {
	p.PID = 0
	if p.recordPath == "" {
		return nil
	}
	if err := os.Remove(p.recordPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// tail returns the end of what the process logged.
func (p *process) tail() string {
	f, err := os.Open(p.logPath)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	from := p.logStart
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-tailBytes)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data))
}

// processStat returns the fields starttime and state of proc(5).
func processStat(pid int) (started, state string, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", "", err
	}
	// The command's name stands in parentheses and may hold anything, spaces and parentheses too.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const stateField, startField = 0, 19
	if len(fields) <= startField {
		return "", "", fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	return fields[startField], fields[stateField], nil
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// spawner starts children that die with this process. The kernel kills them when the *thread* that
// forked them ends, so all are forked by one thread, which lives until close.
type spawner struct {
	jobs  chan func()
	quit  chan struct{}
	close func()
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func()), quit: make(chan struct{})}
	s.close = sync.OnceFunc(func() { close(s.quit) })
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			select {
			case job := <-s.jobs:
				job()
			case <-s.quit:
				return
			}
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	// A group of its own keeps a Ctrl-C at the terminal from ending it before the tests are done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	select {
	case s.jobs <- func() { done <- cmd.Start() }:
		return <-done
	case <-s.quit:
		return errors.New("the control plane was stopped")
	}
}

// startDetached starts a command that outlives this process and the terminal.
func startDetached(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}
