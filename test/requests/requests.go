// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package requests counts the requests that an API server has answered, from its own metrics.
package requests

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// Key is what requests are counted by.
type Key struct{ Verb, Group, Resource, Subresource, Code string }

// Counts are numbers of requests.
type Counts map[Key]int

// Read counts all requests so far, dry runs left out.
func Read(ctx context.Context, client kubernetes.Interface) (Counts, error) {
	stream, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	defer func() { _ = stream.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(stream)
	if err != nil {
		return nil, fmt.Errorf("parse the API server's metrics: %w", err)
	}
	out := Counts{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, pair := range metric.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		if labels["dry_run"] != "" {
			continue
		}
		key := Key{labels["verb"], labels["group"], labels["resource"], labels["subresource"], labels["code"]}
		out[key] += int(metric.GetCounter().GetValue())
	}
	return out, nil
}

// Since is what came on top of an earlier count.
func (c Counts) Since(before Counts) Counts {
	out := Counts{}
	for key, count := range c {
		if more := count - before[key]; more > 0 {
			out[key] = more
		}
	}
	return out
}

// Only keeps the requests that a filter lets through.
func (c Counts) Only(keep func(Key) bool) Counts {
	out := maps.Clone(c)
	maps.DeleteFunc(out, func(key Key, _ int) bool { return !keep(key) })
	return out
}

// Total adds all counts up.
func (c Counts) Total() int {
	sum := 0
	for _, count := range c {
		sum += count
	}
	return sum
}

// String lists the counts, one "VERB resource/subresource code: count" a line.
func (c Counts) String() string {
	var lines []string
	for key, count := range c {
		lines = append(lines, fmt.Sprintf("%s %s/%s %s: %d", key.Verb, key.Resource, key.Subresource, key.Code, count))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Write reports whether the key is a request that changes something; leases, which replicas and the API
// server renew for ever, do not count.
func Write(key Key) bool {
	return slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, key.Verb) && key.Resource != "leases"
}
