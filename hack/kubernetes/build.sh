#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Prints the folder with the binaries of a Kubernetes release, and builds first what is not there.
#
#   build.sh [--node] [VERSION]
#
# With --node those of a node are among them. VERSION is one that has a module beside this file, like v1.37.2. Without it, $KUBEBUILDER_ASSETS is
# the answer if it is set (not with --node), then $FAIRLEAD_KUBERNETES, then the newest. Binaries are kept in
# $FAIRLEAD_CACHE/kubernetes/VERSION, or fairlead/kubernetes/VERSION in the user's cache folder, so that
# a new checkout does not build them again. Progress goes to stderr.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
binaries=(etcd kube-apiserver kube-controller-manager kubectl)
of_node=(kube-scheduler kubelet kube-proxy)

say() { printf '%s\n' "$*" >&2; }
fail() { say "build.sh: $*"; exit 1; }

release_of() { sed -nE 's/^(require|\t) ?k8s\.io\/kubernetes (v[^ ]+).*/\2/p' "$1/go.mod"; }

modules() { find "$here" -mindepth 1 -maxdepth 1 -type d -name 'v*' | sort -V; }

module_of() {
  local dir
  for dir in $(modules); do
    if [[ $(release_of "$dir") == "$1" ]]; then
      echo "$dir"
      return
    fi
  done
  fail "no module builds Kubernetes $1; there is $(for dir in $(modules); do release_of "$dir"; done | xargs)"
}

# The import path of a binary, or nothing if the module leaves it to the newest release.
package_of() {
  sed -n '/^tool (/,/^)/{s/^\t//p}' "$1/go.mod" |
    { if [[ $2 == etcd ]]; then grep '^go.etcd.io/etcd/server/' ; else grep "/cmd/$2\$"; fi || true; }
}

from_environment() {
  local binary
  for binary in etcd kube-apiserver kube-controller-manager; do
    [[ -x $KUBEBUILDER_ASSETS/$binary ]] ||
      fail "KUBEBUILDER_ASSETS has no $binary in $KUBEBUILDER_ASSETS; correct it or unset it"
  done
  echo "$KUBEBUILDER_ASSETS"
}

# build MODULE BINARY PACKAGE NUMBER
build() {
  local package=k8s.io/component-base/version minor=${release#v1.} temporary=$assets/.$2.$$
  local flags="-s -w -X $package.gitVersion=$release -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
  say "[$4/${#binaries[@]}] $2 $release: building from source; minutes where Go's build cache is empty"
  if ! CGO_ENABLED=0 GOFLAGS='' GOWORK=off "$here/../progress.sh" "[$4/${#binaries[@]}] $2 $release" \
    go build -C "$1" -trimpath -ldflags "$flags" -o "$temporary" "$3" >&2; then
    rm -f "$temporary"
    fail "building $2 $release failed; what the compiler said is above"
  fi
  mv "$temporary" "$assets/$2"
}

# share BINARY NUMBER: takes a binary from the newest release.
share() {
  local newest source
  newest=$(release_of "$(modules | tail -1)")
  [[ $newest != "$release" ]] || fail "the module of $release does not build $1"
  source=$("$self" "$newest")
  cp -f "$source/$1" "$assets/.$1.$$"
  mv "$assets/.$1.$$" "$assets/$1"
  say "[$2/${#binaries[@]}] $1: taken from $newest"
}

main() {
  local module binary package number=0 missing=0 node=
  if [[ ${1-} == --node ]]; then
    node=yes
    binaries+=("${of_node[@]}")
    shift
  fi
  if [[ ${1-} == -h || ${1-} == --help ]]; then
    sed -n '5,/^set/{/^#/{s/^# \{0,1\}//p}}' "$self"
    return
  fi
  if [[ -z ${1-} && -z $node && -n ${KUBEBUILDER_ASSETS-} && -z ${FAIRLEAD_KUBERNETES-} ]]; then
    from_environment
    return
  fi
  release=${1:-${FAIRLEAD_KUBERNETES:-$(release_of "$(modules | tail -1)")}}
  module=$(module_of "$release")
  assets=${FAIRLEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fairlead}/kubernetes/$release
  mkdir -p "$assets"
  for binary in "${binaries[@]}"; do
    [[ -x $assets/$binary ]] || missing=$((missing + 1))
  done
  if ((missing > 0)); then
    command -v go >/dev/null || fail "Go is needed to build Kubernetes $release, and there is no go in PATH"
    exec 9>"$assets/.lock"
    if ! flock -n 9; then
      say "waiting for another build of Kubernetes $release to end"
      flock 9
    fi
    for binary in "${binaries[@]}"; do
      number=$((number + 1))
      [[ -x $assets/$binary ]] && continue
      package=$(package_of "$module" "$binary")
      if [[ -n $package ]]; then
        build "$module" "$binary" "$package" "$number" 9>&-
      else
        share "$binary" "$number" 9>&-
      fi
    done
  fi
  echo "$assets"
}

main "$@"
