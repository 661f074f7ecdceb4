// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"path/filepath"
)

const (
	nonroot              = 65532
	coreDNSVersion       = "v1.15.0"
	metricsServerVersion = "v0.9.0"
)

// recipe says how an image comes about.
type recipe struct {
	name      string
	reference string
	source    source
	config    runConfig
	// base adds what programs expect to find in an image: accounts, CA certificates, /tmp.
	base bool
}

// source is what an image holds beside the base.
type source interface {
	// what tells a person where the content comes from.
	what() string
	// key identifies the inputs, as far as the cache may go by them; empty where only a build can tell.
	key(ctx context.Context, root string) (string, error)
	// add puts the content into the tree. work is an empty folder that lasts until the layer is written.
	add(ctx context.Context, root, work string, into tree) error
}

// runConfig is what the image says about running it.
type runConfig struct {
	User       string
	Entrypoint []string
	StopSignal string
	// Dir is the working directory; empty means /.
	Dir string
}

func catalog() []recipe {
	return []recipe{{
		// What the Dockerfile makes.
		name:      "operator",
		reference: "docker.io/library/fairlead:dev",
		source: goPrograms{
			{Package: ".", Path: "fairlead"},
			{Package: "./cmd/fairlead-proxy", Path: "fairlead-proxy"},
		},
		config: runConfig{User: "65532:65532", Entrypoint: []string{"/fairlead"}, Dir: "/home/nonroot"},
		base:   true,
	}, {
		name:      "pause",
		reference: "registry.k8s.io/pause:3.10",
		source:    goProgram{Package: "./hack/images/pause", Path: "pause"},
		config:    runConfig{User: "65535:65535", Entrypoint: []string{"/pause"}},
	}, {
		name:      "coredns",
		reference: "registry.k8s.io/coredns/coredns:" + coreDNSVersion,
		source:    goProgram{Module: "coredns", Package: "github.com/coredns/coredns", Path: "coredns"},
		// It binds port 53. Upstream's image does without root by a capability of the file, which fails
		// where allowPrivilegeEscalation is false and the runtime does not open low ports.
		config: runConfig{Entrypoint: []string{"/coredns"}},
		base:   true,
	}, {
		name:      "metrics-server",
		reference: "registry.k8s.io/metrics-server/metrics-server:" + metricsServerVersion,
		source: goProgram{
			Module: "metrics-server", Package: "sigs.k8s.io/metrics-server/cmd/metrics-server", Path: "metrics-server",
			Variables: []string{"k8s.io/client-go/pkg/version.gitVersion=" + metricsServerVersion},
		},
		config: runConfig{User: "65534:65534", Entrypoint: []string{"/metrics-server"}},
		base:   true,
	}, {
		name:      "echo",
		reference: "docker.io/fairlead/echo:dev",
		source:    goProgram{Package: "./test/echo", Path: "echo"},
		config:    runConfig{User: "65532:65532", Entrypoint: []string{"/echo"}},
		base:      true,
	}, haproxy("2.6", "bookworm"), haproxy("3.2", "sid"),
		istiod("1.30", "1.30.4", "9739e10eb9d7"), istiod("1.31", "1.31.0", "eed52ebb66ad"),
		sidecar("1.30", "1.30.4"), sidecar("1.31", "1.31.0"),
	}
}

// istiod is that of a release, which a module in hack/images pins by its commit.
func istiod(minor, version, commit string) recipe {
	return recipe{
		name:      "istiod-" + minor,
		reference: "docker.io/istio/pilot:" + version,
		source: goProgram{
			Module: "istiod-" + minor, Package: "istio.io/istio/pilot/cmd/pilot-discovery", Path: "usr/local/bin/pilot-discovery",
			Tags: "vtprotobuf,disable_pgv",
			Variables: []string{
				"istio.io/istio/pkg/version.buildVersion=" + version,
				"istio.io/istio/pkg/version.buildTag=" + version,
				"istio.io/istio/pkg/version.buildGitRevision=" + commit,
				"istio.io/istio/pkg/version.buildStatus=Clean",
				"istio.io/istio/pkg/version.buildHub=docker.io/istio",
			},
		},
		config: runConfig{User: "1337:1337", Entrypoint: []string{"/usr/local/bin/pilot-discovery"}},
		base:   true,
	}
}

// sidecar is the image that a release's istiod asks for in pods. It holds a stand-in: see test/sidecar.
func sidecar(minor, version string) recipe {
	return recipe{
		name:      "sidecar-" + minor,
		reference: "docker.io/istio/proxyv2:" + version,
		source:    goProgram{Package: "./test/sidecar", Path: "usr/local/bin/pilot-agent"},
		config:    runConfig{User: "1337:1337", Entrypoint: []string{"/usr/local/bin/pilot-agent"}},
		base:      true,
	}
}

func haproxy(version, suite string) recipe {
	return recipe{
		name:      "haproxy-" + version,
		reference: "docker.io/library/haproxy:" + version,
		source:    debian{Suite: suite, Packages: []string{"haproxy"}, Finish: finishHAProxy},
		// The signal makes it finish what it serves.
		config: runConfig{User: "65532:65532", Entrypoint: []string{"haproxy"}, StopSignal: "SIGUSR1"},
		base:   true,
	}
}

// finishHAProxy gives the files the places that they have in the image of the project itself.
func finishHAProxy(into tree) {
	into.symlink("usr/local/sbin/haproxy", "/usr/sbin/haproxy")
	into.dir("usr/local/etc/haproxy", 0o755, 0)
	into.dir("var/lib/haproxy", 0o755, nonroot)
	into.dir("run/haproxy", 0o755, nonroot)
	into.file("etc/passwd", []byte(passwd("haproxy", "/var/lib/haproxy")))
	into.file("etc/group", []byte(group("haproxy")))
}

func moduleDir(root, name string) string { return filepath.Join(root, "hack", "images", name) }
