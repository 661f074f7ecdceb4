// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package system tests the operator as a process of its own, installed from config/default and running as
// its own ServiceAccount.
package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/fairlead/fairlead/controllers/setup"
	"github.com/fairlead/fairlead/test/controlplane"
	"github.com/fairlead/fairlead/test/operator"
)

const (
	operatorNamespace = "fairlead-system"
	patience          = 2 * time.Minute
)

// suite is what all tests of the package share.
var suite struct {
	dir, root, binary, audit string
	plane                    *controlplane.ControlPlane
	client                   client.Client
	plain                    kubernetes.Interface
}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	err := setUp(context.Background())
	defer func() {
		if err := tearDown(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// auditPolicy logs who asked for what, and the verdict, of every request.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
`

func setUp(ctx context.Context) error {
	var err error
	if suite.dir, err = os.MkdirTemp("", "fairlead-system-"); err != nil {
		return err
	}
	if suite.root, err = operator.Root(); err != nil {
		return err
	}
	suite.binary = filepath.Join(suite.dir, "fairlead")
	if err := operator.Build(ctx, suite.root, suite.binary); err != nil {
		return err
	}
	policy := filepath.Join(suite.dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	suite.audit = filepath.Join(suite.dir, "audit.log")
	suite.plane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: filepath.Join(suite.dir, "run"), ControllerManager: true,
		APIServerArgs: []string{"--audit-policy-file=" + policy, "--audit-log-path=" + suite.audit},
	})
	if err != nil {
		return err
	}
	cfg := suite.plane.Config()
	if suite.client, err = client.New(cfg, client.Options{Scheme: setup.Scheme()}); err != nil {
		return err
	}
	if suite.plain, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	return install(ctx)
}

func tearDown() error {
	var err error
	if suite.plane != nil {
		err = suite.plane.Stop()
	}
	return errors.Join(err, os.RemoveAll(suite.dir))
}

// install applies config/default as make deploy does. There is no node, so its Deployment runs no pod.
func install(ctx context.Context) error {
	assets, err := controlplane.Assets()
	if err != nil {
		return err
	}
	built, err := exec.CommandContext(ctx, filepath.Join(assets, "kubectl"), "kustomize", filepath.Join(suite.root, "config", "default")).Output()
	if err != nil {
		return fmt.Errorf("build config/default: %w", err)
	}
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(built), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read config/default: %w", err)
		}
		err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			// Kinds and namespaces made just before are not there for the API server at once.
			err := suite.client.Create(ctx, object.DeepCopy())
			return err == nil, client.IgnoreNotFound(err)
		})
		if err != nil {
			return fmt.Errorf("install %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

// kubeconfig writes a kubeconfig that has nothing but the token of the operator's ServiceAccount.
func kubeconfig(t *testing.T, token string) string {
	t.Helper()
	admin := suite.plane.Config()
	content := clientcmdapi.NewConfig()
	content.Clusters["c"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthorityData: authority(t, admin)}
	content.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	content.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	content.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*content, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func authority(t *testing.T, cfg *rest.Config) []byte {
	t.Helper()
	if len(cfg.CAData) > 0 {
		return cfg.CAData
	}
	pem, err := os.ReadFile(cfg.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	return pem
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
