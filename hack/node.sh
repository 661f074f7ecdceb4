#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command with the operator installed: on the cluster of $KUBECONFIG, or, where that is empty, on a cluster of one
# node on this machine, which is started if it does not run, and stopped afterwards if it did not run before. The command
# finds $KUBECONFIG, and $FAIRLEAD_E2E_CLUSTER if the cluster is our own.
#
#   [KUBECONFIG=FILE] [IMG=NAME] [KEEP=1] node.sh COMMAND [ARGUMENT ...]
#
# A cluster of $KUBECONFIG has to be able to pull IMG and ECHO_IMG (the image of test/echo); "make images" builds them.
# What fails is explained by the logs and objects of the cluster. KEEP=1 leaves everything as it is at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Compiled the way the images are, so that nothing is compiled twice.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"
run=.run
started= deployed= restart=1

say() { printf '== %s\n' "$*"; }

finish() {
  local code=$?
  trap - EXIT INT TERM
  if ((code != 0)); then
    say "failed; the cluster tells:"
    hack/explain.sh || true
  fi
  if [[ -n ${KEEP:-} ]]; then
    say "kept: export KUBECONFIG=$KUBECONFIG"
    exit "$code"
  fi
  if [[ -n $deployed ]]; then
    say "taking the operator out again"
    make undeploy KUBECONFIG="$KUBECONFIG" KUBECTL="$KUBECTL" || code=1
  fi
  if [[ -n $started ]]; then
    bin/cluster down || code=1
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

go build -o bin/cluster ./hack/cluster
if [[ -z ${KUBECONFIG:-} ]]; then
  export KUBECONFIG=$PWD/$run/kubeconfig FAIRLEAD_E2E_CLUSTER=$PWD/$run
  hack/kubernetes/build.sh --node >/dev/null
  if ! bin/cluster status >/dev/null 2>&1; then
    started=yes
    say "starting a cluster"
    bin/cluster up
  fi
  say "building and loading images"
  bin/cluster load operator echo haproxy-2.6 haproxy-3.2 istiod-1.30 istiod-1.31 sidecar-1.30 sidecar-1.31
fi
export KUBECONFIG
say "installing the operator as $IMG"
KUBECTL=${KUBECTL:-$(command -v kubectl || echo "$(hack/kubernetes/build.sh)/kubectl")}
export KUBECTL
if ! "$KUBECTL" get namespace fairlead-system >/dev/null 2>&1; then
  deployed=yes restart=
fi
# An operator that was there before may be of an older image of that name.
make deploy IMG="$IMG" RESTART="$restart" KUBECONFIG="$KUBECONFIG" KUBECTL="$KUBECTL"
"$@"
