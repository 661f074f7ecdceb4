// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/fairlead/fairlead/test/cluster"
	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/operator"
)

const (
	operatorImage = "docker.io/library/fairlead:dev"
	echoImage     = "docker.io/fairlead/echo:dev"
	haproxyImage  = "docker.io/library/haproxy:3.2"
)

// stage is what the story plays on.
type stage interface {
	// start brings it up, and says how its API server is reached.
	start(ctx context.Context) (*rest.Config, error)
	// found reports whether it ran before: then it stays.
	found() bool
	// install has Fairlead run there.
	install(ctx context.Context) error
	// stop ends what start and install began.
	stop(ctx context.Context) error
	// image is what pods are made of. Only on a node they run.
	image() (name string, runs bool)
	// hints are commands to look around with, and the one that stops everything.
	hints() (kubeconfig, logs, down string)
}

// plane is a control plane without a node, with the operator as a process beside it.
type plane struct {
	d       *demo
	ran     bool
	plane   *controlplane.ControlPlane
	process *operator.Process
}

func (s *plane) start(ctx context.Context) (*rest.Config, error) {
	if c, err := cluster.Open(s.d.dir); err == nil && c.Running() {
		return nil, errors.New("a cluster with a node runs here: use it by \"make demo NODE=1\", or stop it with \"make cluster-down\"")
	}
	if _, err := controlplane.Open(s.d.dir, nil); err == nil {
		s.ran = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var err error
	s.plane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: s.d.dir, ControllerManager: true, Detached: true, Log: s.d.progress,
	})
	if err != nil {
		return nil, err
	}
	return s.plane.Config(), nil
}

func (s *plane) found() bool { return s.ran }

func (s *plane) install(ctx context.Context) error {
	root, err := operator.Root()
	if err != nil {
		return err
	}
	if _, err := envtest.InstallCRDs(s.plane.Config(), envtest.CRDInstallOptions{Paths: []string{filepath.Join(root, "config", "crd", "bases")}}); err != nil {
		return err
	}
	s.d.progress("the CRDs are installed")
	if err := s.d.ensureNamespace(ctx, operatorNamespace, nil); err != nil {
		return err
	}
	binary := filepath.Join(s.d.dir, "fairlead")
	s.d.progress("building the operator")
	if err := operator.Build(ctx, root, binary); err != nil {
		return err
	}
	start := operator.Start
	if s.d.keep {
		start = operator.StartDetached
	}
	// With an election the operator ends by itself when the control plane has gone.
	s.process, err = start(binary, s.plane.Kubeconfig(), filepath.Join(s.d.dir, "operator.log"), "--leader-elect", "--namespace="+operatorNamespace,
		"--agent-image="+operatorImage)
	if err != nil {
		return err
	}
	if err := s.process.Ready(ctx); err != nil {
		return err
	}
	s.d.say("runs, %s after its start", time.Since(s.process.Started).Round(time.Millisecond))
	return nil
}

func (s *plane) stop(context.Context) error {
	var errs []error
	if s.process != nil {
		errs = append(errs, s.process.Stop())
	}
	if s.plane != nil && !s.ran {
		errs = append(errs, s.plane.Stop())
	}
	return errors.Join(errs...)
}

func (s *plane) image() (name string, runs bool) { return "registry.invalid/app", false }

func (s *plane) hints() (kubeconfig, logs, down string) {
	return s.plane.Kubeconfig(), "tail -f " + filepath.Join(s.d.dir, "operator.log"), "make controlplane-down"
}

// node is a cluster whose pods run, the operator's among them.
type node struct {
	d         *demo
	ran       bool
	installed bool
	cluster   *cluster.Cluster
}

func (s *node) start(ctx context.Context) (*rest.Config, error) {
	root, err := operator.Root()
	if err != nil {
		return nil, err
	}
	if c, err := cluster.Open(s.d.dir); err == nil && c.Running() {
		s.ran = true
	}
	if s.cluster, err = cluster.Up(ctx, cluster.Options{Dir: s.d.dir, Root: root, Log: s.d.progress}); err != nil {
		return nil, err
	}
	return s.cluster.Config(), nil
}

func (s *node) found() bool { return s.ran }

// install takes the way of users: images, then "make deploy".
func (s *node) install(ctx context.Context) error {
	s.d.progress("building and loading the images of the operator, of HAProxy and of the pods")
	if err := s.cluster.BuildAndLoad(ctx, s.d.progress, "operator", "echo", "haproxy-3.2"); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(s.cluster.Config())
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Namespaces().Get(ctx, operatorNamespace, metav1.GetOptions{})
	s.installed = err != nil
	began := time.Now()
	args := []string{"deploy", "IMG=" + operatorImage}
	if !s.installed {
		args = append(args, "RESTART=1") // What runs may be of an older image of that name.
	}
	if err := s.make(ctx, args...); err != nil {
		return err
	}
	s.d.say("runs as two pods with an own ServiceAccount, %.1f s after \"make deploy\"", time.Since(began).Seconds())
	return nil
}

func (s *node) make(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, "make", append(args, "KUBECONFIG="+s.cluster.Kubeconfig())...)
	command.Env = append(os.Environ(), "MAKEFLAGS=")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", args[0], err, out)
	}
	return nil
}

func (s *node) stop(ctx context.Context) error {
	switch {
	case s.cluster == nil:
		return nil
	case !s.ran:
		return s.cluster.Down()
	case s.installed:
		return s.make(ctx, "undeploy")
	default:
		return nil
	}
}

func (s *node) image() (name string, runs bool) { return echoImage, true }

func (s *node) hints() (kubeconfig, logs, down string) {
	return s.cluster.Kubeconfig(), "k logs -n " + operatorNamespace + " deploy/fairlead-controller-manager -f", "make cluster-down"
}
