# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Image that docker-build makes and deploy installs.
IMG ?= fairlead:dev
CONTAINER_TOOL ?= docker
# Cluster that install, deploy and run work on; the default is that of controlplane-up.
KUBECONFIG ?= $(CURDIR)/.run/kubeconfig
KUBECTL ?= $(shell command -v kubectl || echo "$$(hack/kubernetes/build.sh)/kubectl")
# Kubernetes release that the target kubernetes builds; empty means $KUBEBUILDER_ASSETS, or the newest.
KUBERNETES_VERSION ?=
# Oldest release that is supported. Empty leaves out its part of the tests.
KUBERNETES_OLDEST ?= v1.30.14
# Race detector of the tests; empty switches it off where there is no C compiler.
RACE ?= -race
TESTFLAGS ?=
FUZZTIME ?= 30s
BENCHFLAGS ?=
DEMOFLAGS ?=
RUNFLAGS ?=

PROGRESS := hack/progress.sh
# All that is not raced is compiled the way the images are, so that nothing is compiled twice.
PLAIN := CGO_ENABLED=0 GOFLAGS="$(GOFLAGS) -trimpath"
TOOLS := bin/controller-gen bin/kustomize bin/crd-ref-docs
LINT := bin/golangci-lint
# Modules of their own: their dependencies are none of the operator's.
NESTED := test/oracle

install uninstall deploy undeploy run: export KUBECONFIG := $(KUBECONFIG)

##@ Start here

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*##"; print "Usage: make <target> [NAME=value]"} \
	  /^[a-zA-Z_-]+:.*##/ {printf "  %-20s%s\n", $$1, $$2} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)}' Makefile

.PHONY: demo
demo: charts $(if $(NODE),kubernetes-node,kubernetes) ## Tell what Fairlead does on a real API server; NODE=1 with pods that run (root on Linux); KEEP=1 leaves it running.
	@$(PLAIN) $(PROGRESS) "compiling the demo" go build -o bin/demo ./hack/demo
	@bin/demo $(if $(NODE),--node) $(if $(KEEP),--keep) $(DEMOFLAGS)

.PHONY: test
test: compiler charts kubernetes ## Run all tests, on the newest and the oldest Kubernetes; does all set-up.
	@$(PROGRESS) "compiling the tests" go test $(RACE) -exec true ./... >/dev/null
	@$(PROGRESS) "tests" go test $(RACE) -p 2 -timeout 40m $(TESTFLAGS) ./...
	@for module in $(NESTED); do \
	  $(PLAIN) $(PROGRESS) "tests of $$module" go -C $$module test -timeout 40m $(TESTFLAGS) ./...; \
	done
	@if [[ -n "$(KUBERNETES_OLDEST)" ]]; then \
	  hack/kubernetes/build.sh $(KUBERNETES_OLDEST) >/dev/null; \
	  FAIRLEAD_KUBERNETES=$(KUBERNETES_OLDEST) $(PROGRESS) "drift matrix on Kubernetes $(KUBERNETES_OLDEST)" \
	    go test $(RACE) -count=1 -timeout 20m ./controllers/internal/apply -run TestDriftMatrix; \
	  FAIRLEAD_KUBERNETES=$(KUBERNETES_OLDEST) $(PROGRESS) "rules of the API on Kubernetes $(KUBERNETES_OLDEST)" \
	    go test $(RACE) -count=1 -timeout 20m ./api/v1alpha1 -run 'Rules$$|Samples|Bounds'; \
	fi

.PHONY: compiler
compiler:
	@if [[ -n "$(RACE)" ]] && ! command -v "$$(go env CC)" >/dev/null; then \
	  echo "The race detector needs a C compiler, and there is no $$(go env CC) here." >&2; \
	  echo "Install one (Debian: apt-get install gcc libc6-dev), or run the tests without it: make test RACE=" >&2; \
	  exit 1; \
	fi

.PHONY: e2e
e2e: charts ## Run the tests on pods: on a cluster of one node made for it (root on Linux), or on that of KUBECONFIG with images by IMG; KEEP=1 leaves it.
	@KUBECONFIG="$(if $(filter file,$(origin KUBECONFIG)),,$(KUBECONFIG))" IMG=$(IMG) KEEP=$(KEEP) hack/node.sh hack/e2e.sh $(TESTFLAGS)

##@ Measure

.PHONY: bench
bench: charts $(if $(NODE),kubernetes-node,kubernetes) ## Measure on a real API server, or with NODE=1 traffic on a node (root on Linux): a table and JSON lines; BENCHFLAGS=--help tells more.
	@$(PLAIN) $(PROGRESS) "compiling the bench" go build -o bin/ ./test/bench ./test/bench/traffic
	@$(if $(NODE),KUBECONFIG="$(if $(filter file,$(origin KUBECONFIG)),,$(KUBECONFIG))" IMG=$(IMG) KEEP=$(KEEP) hack/node.sh bin/traffic,bin/bench) $(BENCHFLAGS)

.PHONY: fuzz
fuzz: charts ## Run every fuzz target for FUZZTIME each.
	@hack/fuzz.sh $(FUZZTIME) . $(NESTED)

##@ Develop

.PHONY: charts
charts: ## Make the archives of Istio's charts, which the operator embeds, from Go modules; what is there and right stays.
	@$(PLAIN) $(PROGRESS) "charts of Istio" go run ./hack/charts

.PHONY: build
build: charts ## Compile the operator to bin/fairlead.
	@$(PLAIN) $(PROGRESS) "compiling the operator" go build -o bin/fairlead .

.PHONY: run
run: build ## Run the operator in the foreground against KUBECONFIG; after install.
	@[[ -e "$$KUBECONFIG" ]] || { echo "no $$KUBECONFIG: run \"make controlplane-up install\" first, or set KUBECONFIG" >&2; exit 1; }
	@bin/fairlead manager $(RUNFLAGS)

.PHONY: fmt
fmt: ## Format the Go files.
	@gofmt -l -w agent api cmd controllers hack main.go main_test.go model test

.PHONY: lint
lint: charts $(LINT) ## Check style, and which package imports which.
	@$(PLAIN) $(PROGRESS) "lint" $(LINT) run ./...
	@for module in $(NESTED); do \
	  (cd $$module && $(PLAIN) $(CURDIR)/$(PROGRESS) "lint $$module" $(CURDIR)/$(LINT) run --config $(CURDIR)/.golangci.yml ./...); \
	done

.PHONY: generate
generate: bin/controller-gen ## Generate the deep copies of the API types.
	@bin/controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: bin/controller-gen ## Generate the custom resource definitions.
	@bin/controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases

.PHONY: docs
docs: bin/crd-ref-docs ## Generate docs/reference/api.md.
	@mkdir -p docs/reference
	@bin/crd-ref-docs --log-level=ERROR --source-path=api --config=hack/crd-ref-docs.yaml \
	  --renderer=markdown --output-path=docs/reference/api.md
# The renderer garbles the underlying type of a named map.
	@sed -i -E 's/_\[(\w+)\](\w+)\]\(#[^)]*\)_$$/_map of \1 to [\2](#\L\2\E)_/' docs/reference/api.md

.PHONY: verify
verify: $(TOOLS) ## Regenerate everything and fail on a difference.
	@hack/verify.sh

.PHONY: clean
clean: ## Remove what was built; the control plane and the cache stay.
	@rm -rf bin dist

##@ Control plane on this machine

.PHONY: kubernetes
kubernetes: ## Build the Kubernetes binaries into the cache; KUBERNETES_VERSION=v1.30.14 picks a release.
	@hack/kubernetes/build.sh $(KUBERNETES_VERSION) >/dev/null

.PHONY: controlplane-up
controlplane-up: kubernetes bin/controlplane ## Start etcd, kube-apiserver, kube-controller-manager; kubeconfig in .run.
	@bin/controlplane up

.PHONY: controlplane-down
controlplane-down: bin/controlplane ## Stop them and remove their data.
	@bin/controlplane down

.PHONY: controlplane-status
controlplane-status: bin/controlplane ## Say what runs.
	@bin/controlplane status

##@ Cluster of one node on this machine (root on Linux)

.PHONY: kubernetes-node
kubernetes-node:
	@hack/kubernetes/build.sh --node >/dev/null

.PHONY: cluster-up
cluster-up: kubernetes-node bin/cluster ## Start a cluster whose pods run; kubeconfig in .run.
	@bin/cluster up

.PHONY: cluster-down
cluster-down: bin/cluster ## Stop it and remove all that it left on this machine.
	@bin/cluster down

.PHONY: cluster-status
cluster-status: bin/cluster ## Say what runs.
	@bin/cluster status

.PHONY: images
images: charts bin/images bin/cluster ## Build the images of the tests, IMAGES="operator echo" or all, and load them into the cluster if it runs.
	@bin/images -reference operator=$(IMG) $(IMAGES)
	@if bin/cluster status >/dev/null 2>&1; then IMG=$(IMG) bin/cluster load $(IMAGES); fi

##@ Cluster of KUBECONFIG

.PHONY: install
install: bin/kustomize ## Install the custom resource definitions.
	@bin/kustomize build config/crd | $(KUBECTL) apply --server-side -f -
	@$(KUBECTL) wait --for=condition=Established --timeout=1m $(patsubst %,crd/%.fleet.fairlead.io,limitpolicies loadbalancers agentreports meshes)

.PHONY: uninstall
uninstall: bin/kustomize ## Remove the definitions and with them all custom resources; undeploy comes first.
	@bin/kustomize build config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: deploy
deploy: bin/kustomize ## Install everything, with the operator from IMG; RESTART=1 where IMG has the name of before and is another one.
	@rm -rf dist/deploy && mkdir -p dist/deploy
	@cd dist/deploy && printf 'resources: [../../config/default]\n' >kustomization.yaml && \
	  $(CURDIR)/bin/kustomize edit set image controller=$(IMG)
	@bin/kustomize build dist/deploy | $(KUBECTL) apply --server-side -f -
	@$(if $(RESTART),$(KUBECTL) -n fairlead-system rollout restart deployment/fairlead-controller-manager)
	@$(KUBECTL) -n fairlead-system rollout status deployment/fairlead-controller-manager --timeout=5m

.PHONY: undeploy
undeploy: bin/kustomize ## Remove the custom resources, wait for what they made to go, then remove the rest; FORCE=1 without an operator.
	@KUBECTL="$(KUBECTL)" FORCE="$(FORCE)" hack/undeploy.sh bin/kustomize

##@ Image

.PHONY: docker-build
docker-build: charts ## Build the image IMG.
	@$(CONTAINER_TOOL) build -t $(IMG) .

# Tools. Each is built from a module of its own, which pins its version.

package-controller-gen := sigs.k8s.io/controller-tools/cmd/controller-gen
package-kustomize := sigs.k8s.io/kustomize/kustomize/v5
package-crd-ref-docs := github.com/elastic/crd-ref-docs

$(TOOLS): bin/%: hack/tools/go.mod hack/tools/go.sum
	@$(PLAIN) $(PROGRESS) "building $*" go build -C hack/tools -o $(CURDIR)/$@ $(package-$*)

$(LINT): hack/tools/golangci-lint/go.mod hack/tools/golangci-lint/go.sum
	@$(PLAIN) $(PROGRESS) "building golangci-lint" go build -C hack/tools/golangci-lint \
	  -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# Go knows best whether they have to be built again.
.PHONY: bin/controlplane bin/cluster bin/images
bin/controlplane bin/cluster bin/images: bin/%:
	@$(PLAIN) go build -o $@ ./hack/$*
