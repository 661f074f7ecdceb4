// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package daemon runs processes in the background, and knows them again when another process asks.
// Linux only.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	askPoll = 50 * time.Millisecond
	// askTimeout bounds one question, so that a server that accepts and never answers is asked again.
	askTimeout = 5 * time.Second

	killTimeout = 20 * time.Second
	killPoll    = 5 * time.Millisecond
	tailBytes   = 4096
)

// Record identifies a process for good: an id alone may belong to another one by now.
type Record struct {
	// PID is 0 where there is no process.
	PID int `json:"pid"`
	// Started is the time of its start in clock ticks since the boot.
	Started string   `json:"started"`
	Boot    string   `json:"boot"`
	Args    []string `json:"args"`
}

// Daemon is one process, of this run or of an earlier one. Methods accept nil, which never runs.
type Daemon struct {
	Record
	// Name is what errors call it.
	Name string
	// Log is the path of the file that its output is added to.
	Log string

	// recordPath is where the record is kept; it is empty for a process that dies with this one.
	recordPath string
	// logStart is where the log of this process begins in the file.
	logStart int64
	// exited is closed when a child of this process was reaped; nil for one of an earlier run.
	exited chan struct{}
}

// New describes a process that is not started yet. Where record is a path, its identity is kept there, for Open.
func New(name, log, record string, args ...string) *Daemon {
	return &Daemon{Name: name, Log: log, recordPath: record, Record: Record{Args: args}}
}

// Open describes the process whose identity is kept at the path record. It does not run where there is no such file.
func Open(name, log, record string) (*Daemon, error) {
	d := New(name, log, record)
	return d, ReadJSON(record, &d.Record)
}

// Start runs the command line. spawn is Detached, or Start of a Spawner.
func (d *Daemon) Start(spawn func(*exec.Cmd) error) error {
	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	if d.logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd := exec.Command(d.Args[0], d.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := spawn(cmd); err != nil {
		return err
	}
	d.PID = cmd.Process.Pid
	d.exited = make(chan struct{})
	if d.Started, _, err = processStat(d.PID); err == nil {
		d.Boot, err = bootID()
	}
	if err == nil && d.recordPath != "" {
		err = WriteJSON(d.recordPath, d.Record)
	}
	if err != nil {
		_ = cmd.Process.Kill()
	}
	go func() {
		_ = cmd.Wait()
		close(d.exited)
	}()
	return err
}

// Alive reports whether the process runs: this very one, not another one with its id.
func (d *Daemon) Alive() bool {
	if d == nil || d.PID == 0 {
		return false
	}
	if d.exited != nil {
		select {
		case <-d.exited:
			return false
		default:
		}
	}
	if started, _, err := processStat(d.PID); err != nil || started != d.Started || !Running(d.PID) {
		return false
	}
	boot, err := bootID()
	return err == nil && boot == d.Boot
}

// Runs reports whether the process runs with that command line.
func (d *Daemon) Runs(args []string) bool { return d.Alive() && slices.Equal(d.Args, args) }

// Await asks until there is no error. It gives up early when the process has died, and has the end of its log then.
func (d *Daemon) Await(ctx context.Context, ask func(context.Context) error) error {
	last := errors.New("not asked yet")
	err := wait.PollUntilContextCancel(ctx, askPoll, true, func(ctx context.Context) (bool, error) {
		if !d.Alive() {
			return false, errors.New("it has exited")
		}
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		last = ask(ctx)
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s is not ready: %w (last answer: %w)\nend of its log:\n%s", d.Name, err, last, d.Tail())
}

// Status is what is known of one process.
type Status struct {
	Name string
	// PID is 0 where the process does not run.
	PID int
	// Log is the path of its log.
	Log string
}

// String is a line for a person.
func (s Status) String() string {
	state := "not running"
	if s.PID != 0 {
		state = fmt.Sprintf("pid %d", s.PID)
	}
	return fmt.Sprintf("%-24s %-12s log %s", s.Name, state, s.Log)
}

// AllRun reports whether all processes run.
func AllRun(all []Status) bool {
	return !slices.ContainsFunc(all, func(s Status) bool { return s.PID == 0 })
}

// Status tells whether the process runs.
func (d *Daemon) Status() Status {
	s := Status{Name: d.Name, Log: d.Log}
	if d.Alive() {
		s.PID = d.PID
	}
	return s
}

// Kill ends the process as kill -9 does, and returns when it is gone.
func (d *Daemon) Kill() error {
	if d == nil || d.PID == 0 {
		return nil
	}
	// The handle pins the process, so the check after it cannot be outrun by a reuse of the id.
	handle, err := os.FindProcess(d.PID)
	if err != nil {
		return err
	}
	defer func() { _ = handle.Release() }()
	if !d.Alive() {
		return d.forget()
	}
	if err := handle.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", d.Name, err)
	}
	deadline := time.Now().Add(killTimeout)
	for d.Alive() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s (pid %d) is still there %s after SIGKILL", d.Name, d.PID, killTimeout)
		}
		time.Sleep(killPoll)
	}
	return d.forget()
}

func (d *Daemon) forget() error {
	d.PID = 0
	if d.recordPath == "" {
		return nil
	}
	if err := os.Remove(d.recordPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Tail returns the end of what the process logged.
func (d *Daemon) Tail() string {
	f, err := os.Open(d.Log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	from := d.logStart
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-tailBytes)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(data))
}

// Running reports whether a process has that id, a zombie aside. A process whose first thread has ended is one only
// when all its threads have: until then it holds its ports.
func Running(pid int) bool {
	_, state, err := processStat(pid)
	if err != nil || state != "Z" && state != "X" {
		return err == nil
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && len(threads) > 1
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
