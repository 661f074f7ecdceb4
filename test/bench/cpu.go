// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc, on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// cpuTimes are the CPU times of processes since their start, by name.
type cpuTimes map[string]time.Duration

// cpu reads the CPU times of everything that takes part.
func (b *bench) cpu() cpuTimes {
	pids := map[string]int{"bench": os.Getpid()}
	for _, s := range b.plane.Status() {
		pids[s.Name] = s.PID
	}
	if b.process != nil {
		pids["operator"] = b.process.PID()
	}
	all := cpuTimes{}
	for name, pid := range pids {
		if used, err := cpuTime(pid); err == nil {
			all[name] = used
		}
	}
	return all
}

// since is what was used since before, as a line.
func (u cpuTimes) since(before cpuTimes) string {
	var parts []string
	for _, name := range []string{"kube-apiserver", "etcd", "kube-controller-manager", "operator", "bench"} {
		if used, ok := u[name]; ok {
			parts = append(parts, fmt.Sprintf("%s %.2f s", name, (used-before[name]).Seconds()))
		}
	}
	return strings.Join(parts, ", ")
}

// cpuTime reads the fields utime and stime of proc(5).
func cpuTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var total time.Duration
	for _, field := range fields[user : system+1] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		total += time.Duration(ticks) * tick
	}
	return total, nil
}
