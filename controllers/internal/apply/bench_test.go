// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fairlead/fairlead/controllers/internal/testutil"
)

// BenchmarkRepair measures the time from the event of a foreign edit to the event of its repair, as a third
// party sees both, one edit at a time.
func BenchmarkRepair(b *testing.B) {
	namespace := testutil.Namespace(b, cluster.Config(b), "bench")
	o := startOperator(b, operatorOptions{kinds: []Kind{limitRanges}, name: b.Name()})
	// No field is broken so often that it is contested.
	refs := make([]Ref, max(20, b.N/(freeRepairs-1)+1))
	for i := range refs {
		object := limitRange(namespace, fmt.Sprintf("l%d", i))
		refs[i] = o.ref(object)
		o.declare(fmt.Sprintf("bench/%d", i), object)
	}
	for i := range refs {
		o.settled(fmt.Sprintf("bench/%d", i), 0)
	}
	watch, err := o.foreign.Resource(limitRanges.gvr()).Namespace(namespace).Watch(b.Context(),
		metav1.ListOptions{ResourceVersion: o.get(refs[len(refs)-1]).GetResourceVersion()})
	if err != nil {
		b.Fatal(err)
	}
	defer watch.Stop()
	// until gives the time at which the watch shows the object with that maximum.
	until := func(name, most string) time.Time {
		for event := range watch.ResultChan() {
			u, ok := event.Object.(*unstructured.Unstructured)
			if ok && u.GetName() == name && strings.Contains(fmt.Sprint(u.Object["spec"]), "memory:"+most) {
				return time.Now()
			}
		}
		b.Fatal("the watch ended")
		return time.Time{}
	}
	var took []time.Duration
	b.ResetTimer()
	for i := range b.N {
		ref := refs[i%len(refs)]
		o.patch(ref, matrix[0].value.patch)
		edited := until(ref.Name, "1Gi")
		took = append(took, until(ref.Name, "512Mi").Sub(edited))
	}
	b.StopTimer()
	slices.Sort(took)
	for _, p := range []int{50, 95, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
	}
}
