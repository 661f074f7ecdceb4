// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/kubernetes"
)

// Writes counts write requests by verb and resource.
type Writes map[string]float64

// ServerWrites counts the write requests that the API server has answered, by its own apiserver_request_total.
// Leases and dry runs do not count.
func ServerWrites(ctx context.Context, client kubernetes.Interface) (Writes, error) {
	text, err := client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse the API server's metrics: %w", err)
	}
	writes := Writes{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		label := labels(metric)
		verb := strings.ToUpper(label["verb"])
		if !slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}, verb) ||
			label["resource"] == "leases" || strings.Contains(label["dry_run"], "All") {
			continue
		}
		writes[verb+" "+label["resource"]+"/"+label["subresource"]] += metric.GetCounter().GetValue()
	}
	return writes, nil
}

// Since gives what came after an earlier count.
func (w Writes) Since(earlier Writes) Writes {
	out := Writes{}
	for key, count := range w {
		if more := count - earlier[key]; more > 0 {
			out[key] = more
		}
	}
	return out
}

// String lists the counts.
func (w Writes) String() string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(w)) {
		lines = append(lines, fmt.Sprintf("%s %v", key, w[key]))
	}
	return strings.Join(lines, ", ")
}

func labels(metric *dto.Metric) map[string]string {
	out := map[string]string{}
	for _, pair := range metric.GetLabel() {
		out[pair.GetName()] = pair.GetValue()
	}
	return out
}
