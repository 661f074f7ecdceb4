// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/fairlead/fairlead/api/v1alpha1"
	"github.com/fairlead/fairlead/controllers/limitpolicy/render"
	"github.com/fairlead/fairlead/test/operator"
	"github.com/fairlead/fairlead/test/requests"
)

const mebibyte = 1 << 20

// settle is how long the operator is left alone before its memory is read, so that garbage is collected.
const settle = 15 * time.Second

func (b *bench) memoryEmpty(ctx context.Context) error {
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	if _, err := b.memory(ctx, "rss_0_namespaces"); err != nil {
		return err
	}
	return b.stopOperator()
}

func (b *bench) memory(ctx context.Context, name string) (int64, error) {
	b.say("letting the operator's memory settle for %s", settle)
	if err := sleep(ctx, settle); err != nil {
		return 0, err
	}
	rss, err := b.process.RSS()
	if err != nil {
		return 0, err
	}
	b.figure(name, float64(rss)/mebibyte, "MiB", "")
	return rss, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// cover lets a bare client and the operator cover the same namespaces in turns, and compares the medians. The
// operator does not run while the bare client does: it would prune objects that bear its marks without a policy.
func (b *bench) cover(ctx context.Context) error {
	if err := b.makeNamespaces(ctx, 0, b.namespaces); err != nil {
		return err
	}
	var bare, ours []time.Duration
	for round := range b.rounds {
		b.say("round %d of %d: the bare client covers %d namespaces", round+1, b.rounds, b.namespaces)
		took, err := b.bareRound(ctx)
		if err != nil {
			return fmt.Errorf("bare client: %w", err)
		}
		bare = append(bare, took)
		if err := b.startOperator(ctx); err != nil {
			return err
		}
		b.say("round %d of %d: the operator covers them", round+1, b.rounds)
		profiled := make(chan error, 1)
		go func() {
			if round < b.rounds-1 {
				profiled <- nil
				return
			}
			profiled <- b.takeProfile(ctx, took, "")
		}()
		took, err = b.timeCover(ctx, func(ctx context.Context) error { return b.client.Create(ctx, policy()) })
		if err := <-profiled; err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		if err != nil {
			return fmt.Errorf("operator: %w", err)
		}
		ours = append(ours, took)
		if round == b.rounds-1 {
			break
		}
		if err := b.client.Delete(ctx, policy()); err != nil {
			return err
		}
		if err := b.watch.count(ctx, 0); err != nil {
			return err
		}
		if err := b.stopOperator(); err != nil {
			return err
		}
	}
	b.figure("cover_bare_client", quantile(bare, .5).Seconds(), "s", "")
	b.figure("cover_fairlead", quantile(ours, .5).Seconds(), "s", "")
	b.figure("cover_ratio", quantile(ours, .5).Seconds()/quantile(bare, .5).Seconds(), "ratio", "at most 1.2")
	return b.ready(ctx)
}

// bareRound has the bare client cover the namespaces, and clears them. The objects have a policy as their owner, so that
// they cost the garbage collector the same.
func (b *bench) bareRound(ctx context.Context) (time.Duration, error) {
	owner := policy()
	if err := b.client.Create(ctx, owner); err != nil {
		return 0, err
	}
	all, err := b.bareObjects(owner)
	if err != nil {
		return 0, err
	}
	took, err := b.timeCover(ctx, func(ctx context.Context) error { return b.bareCover(ctx, all) })
	if err != nil {
		return 0, err
	}
	return took, errors.Join(b.clear(ctx), b.client.Delete(ctx, owner))
}

// takeProfile writes a CPU profile of a time if one is wanted, into the file with a suffix.
func (b *bench) takeProfile(ctx context.Context, span time.Duration, suffix string) error {
	if b.profile == "" {
		return nil
	}
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", b.profileAddress, 1+int(span.Seconds()))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	file, err := os.Create(b.profile + suffix)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}

// timeCover runs from the start of the writes to the event of the last object.
func (b *bench) timeCover(ctx context.Context, write func(context.Context) error) (time.Duration, error) {
	before, start := b.cpu(), time.Now()
	if err := write(ctx); err != nil {
		return 0, err
	}
	if err := b.watch.count(ctx, 2*b.namespaces); err != nil {
		return 0, err
	}
	took := time.Since(start)
	b.say("it took %.2f s; CPU of %s", took.Seconds(), b.cpu().since(before))
	return took, nil
}

// ready waits until the policy says that it is, for all namespaces that there are.
func (b *bench) ready(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		found := policy()
		if err := b.client.Get(ctx, client.ObjectKeyFromObject(found), found); err != nil {
			return false, err
		}
		counts := found.Status.Namespaces
		return meta.IsStatusConditionTrue(found.Status.Conditions, v1alpha1.ConditionReady) &&
			counts != nil && int(counts.Covered)*2 == len(b.watch.present), nil
	})
}

// repair edits and deletes objects at random and takes the time from the event of the edit to that of the repair.
func (b *bench) repair(ctx context.Context) error {
	b.say("%d edits and deletions, %d at a time", b.edits, b.editors)
	before, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	reads, err := b.reads(ctx)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	victims := random.Perm(b.namespaces)
	took := make([]time.Duration, b.edits)
	how := make([]int, b.edits)
	for i := range how {
		how[i] = random.IntN(len(edits))
	}
	err = each(ctx, 0, b.edits, b.editors, func(ctx context.Context, i int) error {
		var err error
		took[i], err = b.repairOne(ctx, namespaceName(victims[i%len(victims)]), edits[how[i]])
		return err
	})
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	after, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	b.figure("repair_p50", milliseconds(quantile(took, .5)), "ms", "")
	b.figure("repair_p95", milliseconds(quantile(took, .95)), "ms", "")
	b.figure("repair_p99", milliseconds(quantile(took, .99)), "ms", "under 50")
	b.figure("repair_max", milliseconds(slices.Max(took)), "ms", "")
	return b.requestsPerRepair(ctx, after.Since(before), reads)
}

// requestsPerRepair adds the writes to the objects, other than the edits, and the operator's own reads. The API server
// counts reads of others too: the garbage collector looks at every new object with an owner.
func (b *bench) requestsPerRepair(ctx context.Context, all requests.Counts, readsBefore float64) error {
	writes := all.Only(func(key requests.Key) bool {
		return requests.Write(key) && (key.Resource == "limitranges" || key.Resource == "resourcequotas") && key.Subresource == ""
	})
	reads, err := b.reads(ctx)
	if err != nil {
		return err
	}
	b.say("writes to the objects, the %d edits among them:\n%s", b.edits, writes)
	b.figure("requests_per_repair", (float64(writes.Total()-b.edits)+reads-readsBefore)/float64(b.edits), "requests", "1")
	return nil
}

// reads is how many GET requests the operator has sent, watches included.
func (b *bench) reads(ctx context.Context) (float64, error) {
	figures, err := b.process.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	return figures.Sum("rest_client_requests_total", "method", "GET"), nil
}

// edit is one way to break an object. It is one request.
type edit struct {
	kind string
	do   func(ctx context.Context, b *bench, namespace string) error
}

var edits = []edit{
	{"LimitRange", patchOf("limitranges", `{"spec":{"limits":[{"type":"Container","max":{"memory":"4Gi"}}]}}`)},
	{"LimitRange", patchOf("limitranges", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`)},
	{"ResourceQuota", patchOf("resourcequotas", `{"spec":{"hard":{"requests.cpu":"99"}}}`)},
	{"ResourceQuota", patchOf("resourcequotas", `{"spec":{"hard":{"pods":"1"}}}`)},
	{"LimitRange", func(ctx context.Context, b *bench, namespace string) error {
		return b.plain.CoreV1().LimitRanges(namespace).Delete(ctx, render.Name, metav1.DeleteOptions{})
	}},
	{"ResourceQuota", func(ctx context.Context, b *bench, namespace string) error {
		return b.plain.CoreV1().ResourceQuotas(namespace).Delete(ctx, render.Name, metav1.DeleteOptions{})
	}},
}

func patchOf(resource, body string) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, namespace string) error {
		return b.plain.CoreV1().RESTClient().Patch(types.MergePatchType).Namespace(namespace).Resource(resource).
			Name(render.Name).Body([]byte(body)).Do(ctx).Error()
	}
}

func (b *bench) repairOne(ctx context.Context, namespace string, how edit) (time.Duration, error) {
	key := object{how.kind, namespace}
	start := time.Now()
	if err := how.do(ctx, b, namespace); err != nil {
		return 0, err
	}
	var took time.Duration
	err := b.watch.wait(ctx, "the repair of "+how.kind+" in "+namespace, func() bool {
		edited, repaired := b.watch.edited[key], b.watch.repaired[key]
		took = repaired.Sub(edited)
		return edited.After(start) && repaired.After(edited)
	})
	return took, err
}

// rest counts the API server's write requests while nothing changes.
func (b *bench) rest(ctx context.Context) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	return b.writesAtRest(ctx, "writes_at_rest", requests.Write)
}

// writesAtRest counts such requests of a minute.
func (b *bench) writesAtRest(ctx context.Context, name string, counts func(requests.Key) bool) error {
	// The last status and event follow a repair by up to a second each, and answers are looked at again after ten.
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	b.say("counting writes at rest for %s", b.sizes.rest)
	if err := sleep(ctx, b.sizes.rest); err != nil {
		return err
	}
	after, err := requests.Read(ctx, b.plain)
	if err != nil {
		return err
	}
	writes := after.Since(before).Only(counts)
	if len(writes) > 0 {
		b.say("writes at rest:\n%s", writes)
	}
	b.figure(name, float64(writes.Total()), "requests", "0")
	return nil
}

func (b *bench) memoryCovered(ctx context.Context) error {
	_, err := b.memory(ctx, fmt.Sprintf("rss_%d_namespaces", b.namespaces))
	return err
}

// memoryLarge covers the large number of namespaces and gives the slope between the two.
func (b *bench) memoryLarge(ctx context.Context) error {
	small, err := b.process.RSS()
	if err != nil {
		return err
	}
	if err := b.makeNamespaces(ctx, b.namespaces, b.large); err != nil {
		return err
	}
	if err := b.watch.count(ctx, 2*b.large); err != nil {
		return err
	}
	if err := b.ready(ctx); err != nil {
		return err
	}
	large, err := b.memory(ctx, fmt.Sprintf("rss_%d_namespaces", b.large))
	if err != nil {
		return err
	}
	b.figure("rss_slope", float64(large-small)/1024/float64(b.large-b.namespaces), "KiB per namespace", "")
	return nil
}

// startUp restarts the operator with everything covered. One object is broken meanwhile: its repair proves
// that the operator works, not only runs.
func (b *bench) startUp(ctx context.Context) error {
	b.say("restarting the operator with %d namespaces", b.large)
	if err := b.stopOperator(); err != nil {
		return err
	}
	broken := object{"LimitRange", namespaceName(b.large - 1)}
	if err := b.plain.CoreV1().LimitRanges(broken.namespace).Delete(ctx, render.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	first := func(m operator.Metrics) bool {
		return m.Sum("controller_runtime_reconcile_total", "controller", "limitpolicy-namespace") > 0
	}
	if err := b.process.WaitMetric(ctx, first); err != nil {
		return err
	}
	b.figure("start_to_first_reconcile", time.Since(b.process.Started).Seconds(), "s", "")
	if err := b.watch.count(ctx, 2*b.large); err != nil {
		return err
	}
	b.figure("start_to_repair", time.Since(b.process.Started).Seconds(), "s", "")
	all := func(m operator.Metrics) bool {
		return int(m.Sum("controller_runtime_reconcile_total", "controller", "limitpolicy-namespace")) >= b.large
	}
	if err := b.process.WaitMetric(ctx, all); err != nil {
		return err
	}
	b.figure("start_to_all_verified", time.Since(b.process.Started).Seconds(), "s", "")
	_, err := b.memory(ctx, fmt.Sprintf("rss_%d_namespaces_after_restart", b.large))
	return err
}
