// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package operator builds the operator and runs it as a process of its own, as it runs in a pod.
package operator

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
	poll         = 10 * time.Millisecond
)

// Build compiles the operator of the module in root to the file at path.
func Build(ctx context.Context, root, path string) error { return BuildPackage(ctx, root, path, ".") }

// BuildPackage compiles a program of the module in root to the file at path, the way the images are compiled: what is
// compiled for one is there for the other.
func BuildPackage(ctx context.Context, root, path, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// Root is the folder of the module that the working directory lies in.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// Process is a running operator.
type Process struct {
	cmd     *exec.Cmd
	log     *os.File
	done    chan struct{}
	metrics string
	// Started is when the process was started.
	Started time.Time
}

// Start runs the binary against a cluster; its output goes to the file at log. The process dies with this one.
// It does not wait until the operator is ready: see Ready.
func Start(binary, kubeconfig, log string, args ...string) (*Process, error) {
	return start(binary, kubeconfig, log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}, args)
}

// StartDetached is Start for an operator that outlives this process.
func StartDetached(binary, kubeconfig, log string, args ...string) (*Process, error) {
	return start(binary, kubeconfig, log, &syscall.SysProcAttr{Setsid: true}, args)
}

func start(binary, kubeconfig, log string, attributes *syscall.SysProcAttr, args []string) (*Process, error) {
	metrics, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	probe, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the operator's log: %w", err)
	}
	args = append([]string{"manager", "--kubeconfig=" + kubeconfig, "--metrics-bind-address=" + metrics,
		"--metrics-secure=false", "--health-probe-bind-address=" + probe}, args...)
	p := &Process{cmd: exec.Command(binary, args...), log: out, done: make(chan struct{}), metrics: metrics}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = attributes
	p.Started = time.Now()
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("start the operator: %w", err), out.Close())
	}
	return p, nil
}

// run holds the thread that starts the process: Linux sends the death signal when that thread ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait()
	}
}

// FreeAddress is one on 127.0.0.1 that nothing listens at.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

// Ready waits until the operator's workers run. It fails with the end of the log where the process ends.
func (p *Process) Ready(ctx context.Context) error {
	return p.WaitMetric(ctx, func(m Metrics) bool { return m.Sum("controller_runtime_max_concurrent_reconciles") > 0 })
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Metrics are the operator's own figures.
type Metrics map[string][]Sample

// Sample is one value with its labels.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Sum adds up the samples of a counter or gauge, or the counts of a histogram, whose labels include the given pairs.
func (m Metrics) Sum(name string, pairs ...string) float64 {
	sum := 0.0
	for _, sample := range m[name] {
		matches := true
		for i := 0; i+1 < len(pairs); i += 2 {
			matches = matches && sample.Labels[pairs[i]] == pairs[i+1]
		}
		if matches {
			sum += sample.Value
		}
	}
	return sum
}

// Metrics reads the operator's figures.
func (p *Process) Metrics(ctx context.Context) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.metrics+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the operator's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("parse the operator's metrics: %w", err)
	}
	out := Metrics{}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			sample := Sample{Labels: map[string]string{}}
			for _, pair := range metric.GetLabel() {
				sample.Labels[pair.GetName()] = pair.GetValue()
			}
			sample.Value = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() +
				float64(metric.GetHistogram().GetSampleCount())
			out[name] = append(out[name], sample)
		}
	}
	return out, nil
}

// ScrapeSecurely reads the figures of an operator with --metrics-secure as a client with a bearer token, and gives the
// HTTP status. The certificate is the operator's own, so it is not checked.
func (p *Process) ScrapeSecurely(ctx context.Context, token string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, fmt.Errorf("read the operator's metrics: %w", err)
	}
	return response.StatusCode, response.Body.Close()
}

// WaitMetric waits until the figures are as asked.
func (p *Process) WaitMetric(ctx context.Context, enough func(Metrics) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.done:
			return false, fmt.Errorf("the operator ended:\n%s", p.Tail())
		default:
		}
		metrics, err := p.Metrics(ctx)
		return err == nil && enough(metrics), nil
	})
}

// RSS is the resident memory in bytes, from /proc.
func (p *Process) RSS() (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("read the operator's memory: %w", err)
	}
	for line := range bytes.Lines(text) {
		if fields := strings.Fields(string(line)); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc")
}

// Stop ends the operator as Kubernetes ends a pod, and waits.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

// Kill ends it as kill -9 does, and waits.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

func (p *Process) end(signal syscall.Signal) error {
	_ = p.cmd.Process.Signal(signal) // It may have ended already.
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("the operator did not end within %s of %s", stopTimeout, signal), p.log.Close())
	}
	return p.log.Close()
}

// Tail is the end of the operator's log.
func (p *Process) Tail() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	const most = 4 << 10
	return string(text[max(0, len(text)-most):])
}
