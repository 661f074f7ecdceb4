#!/usr/bin/env bash
# Copyright The Fairlead Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Prints what explains a failure on the cluster of $KUBECONFIG: nodes, pods, what is wrong with those that do not run,
# the operator's logs, Fairlead's objects and the last events. It reads only, and never Secrets.
set -uo pipefail
kubectl() { command "${KUBECTL:-kubectl}" --request-timeout=20s "$@"; }
part() { printf '\n---- %s\n' "$*"; }

part nodes
kubectl get nodes -o wide
part pods
kubectl get pods -A -o wide
kubectl get pods -A --no-headers -o custom-columns=N:.metadata.namespace,P:.metadata.name,S:.status.phase,R:.status.containerStatuses[*].ready |
  awk '$3 != "Succeeded" && ($3 != "Running" || /false/) {print $1, $2}' | head -10 |
  while read -r namespace pod; do
    part "pod $namespace/$pod"
    kubectl -n "$namespace" describe pod "$pod" | tail -n 40
    kubectl -n "$namespace" logs "$pod" --all-containers --tail=30
  done
for pod in $(kubectl -n fairlead-system get pods -o name); do
  part "log of $pod"
  kubectl -n fairlead-system logs "$pod" --tail=80
  kubectl -n fairlead-system logs "$pod" --tail=40 --previous 2>/dev/null
done
part "Fairlead's objects"
kubectl get fairlead -A -o yaml | head -n 300
part "last events"
kubectl get events -A --sort-by=.lastTimestamp | tail -n 40
