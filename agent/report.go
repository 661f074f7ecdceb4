// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/fairlead/fairlead/agent/driver"
	"github.com/fairlead/fairlead/api/v1alpha1"
)

const (
	reports = "agentreports"
	// reportGap is the least time between two writes.
	reportGap = time.Second
	// reportRetry and reportRetryMax bound the pause after a write that failed.
	reportRetry, reportRetryMax = 500 * time.Millisecond, 30 * time.Second

	maxTop     = 10
	maxField   = 256
	maxObject  = 512
	maxMessage = 1024
	maxShort   = 64
)

// reporter writes the AgentReport of this pod, if something in it changes, and never in the way of anything else.
type reporter struct {
	options
	rest   rest.Interface
	driver *driver.Driver
	log    logr.Logger

	// current is the object as it was written or read last; nil where that is not known.
	current *v1alpha1.AgentReport
}

func newReporter(config *rest.Config, o options, d *driver.Driver, log logr.Logger) (*reporter, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, v1alpha1.GroupVersion)
	config = rest.CopyConfig(config)
	config.APIPath = "/apis"
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	return &reporter{options: o, rest: client, driver: d, log: log}, nil
}

func (r *reporter) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.driver.Changed():
		}
		for wait := reportRetry; ctx.Err() == nil; wait = min(2*wait, reportRetryMax) {
			err := r.write(ctx)
			if err == nil {
				break
			}
			if ctx.Err() == nil {
				r.log.Info("Cannot write the report; trying again", "error", err.Error())
			}
			sleep(ctx, wait)
		}
		sleep(ctx, reportGap)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// write brings the object to what the driver says, if they differ.
func (r *reporter) write(ctx context.Context) error {
	s := r.driver.Status()
	if !s.Settled {
		// What an earlier run left has been told by that.
		return nil
	}
	want := r.report(s)
	if r.current == nil {
		current := &v1alpha1.AgentReport{}
		err := r.rest.Get().Namespace(r.pod.namespace).Resource(reports).Name(r.pod.name).Do(ctx).Into(current)
		if apierrors.IsNotFound(err) {
			return r.create(ctx, want)
		}
		if err != nil {
			return err
		}
		r.current = current
	}
	if same(r.current.Report, want) && r.ours(r.current) {
		return nil
	}
	next := r.current.DeepCopy()
	next.Report, next.OwnerReferences = want, r.owners()
	written := &v1alpha1.AgentReport{}
	err := r.rest.Put().Namespace(r.pod.namespace).Resource(reports).Name(r.pod.name).Body(next).Do(ctx).Into(written)
	return r.wrote(written, err)
}

func (r *reporter) create(ctx context.Context, want v1alpha1.ReplicaReport) error {
	object := &v1alpha1.AgentReport{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AgentReport"},
		ObjectMeta: metav1.ObjectMeta{Namespace: r.pod.namespace, Name: r.pod.name, OwnerReferences: r.owners()},
		Report:     want,
	}
	written := &v1alpha1.AgentReport{}
	err := r.rest.Post().Namespace(r.pod.namespace).Resource(reports).Body(object).Do(ctx).Into(written)
	return r.wrote(written, err)
}

// wrote takes over what was written. After an error it is not known what is there.
func (r *reporter) wrote(written *v1alpha1.AgentReport, err error) error {
	r.current = nil
	if err == nil {
		r.current = written
	}
	return err
}

func (r *reporter) owners() []metav1.OwnerReference {
	if r.pod.uid == "" {
		return nil
	}
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: r.pod.name, UID: types.UID(r.pod.uid)}}
}

// ours is false for the report of an earlier pod of that name, which is about to be collected.
func (r *reporter) ours(report *v1alpha1.AgentReport) bool {
	return reflect.DeepEqual(report.OwnerReferences, r.owners())
}

// same compares what a reader acts on: the number of reloads is of the time of the report.
func same(a, b v1alpha1.ReplicaReport) bool {
	a.Reloads = b.Reloads
	a.Repairs, b.Repairs = untimed(a.Repairs), untimed(b.Repairs)
	return reflect.DeepEqual(a, b)
}

// untimed takes the fractions of seconds away that the API server does not keep, and what tells nothing from empty.
func untimed(repairs []v1alpha1.RepairRecord) []v1alpha1.RepairRecord {
	out := make([]v1alpha1.RepairRecord, 0, len(repairs))
	for _, one := range repairs {
		one.Time = metav1.Unix(one.Time.Unix(), 0)
		out = append(out, one)
	}
	return out
}

// report is the status in the words of the API, within its bounds.
func (r *reporter) report(s driver.Status) v1alpha1.ReplicaReport {
	out := v1alpha1.ReplicaReport{
		LoadBalancer: r.loadBalancer, Generation: s.Generation, Model: cut(s.Model, maxShort), Version: cut(s.Version, maxShort),
		Reloads: int32(s.Reloads), Refused: cut(s.Refused, maxMessage),
	}
	if len(s.Problems) > 0 {
		out.Problems = &v1alpha1.Problems{Count: int32(len(s.Problems))}
		for _, problem := range s.Problems[:min(len(s.Problems), maxTop)] {
			out.Problems.Top = append(out.Problems.Top, v1alpha1.Problem{
				Field: cut(problem.Field, maxField), Reason: cut(problem.Reason, maxShort), Message: cut(problem.Message, maxMessage),
			})
		}
	}
	for _, repair := range s.Repairs {
		out.Repairs = append(out.Repairs, v1alpha1.RepairRecord{
			Object: cut("HAProxy "+r.pod.namespace+"/"+r.pod.name+": "+repair.Object, maxObject), Field: cut(repair.Field, maxField),
			Want: repair.Want, Found: repair.Found, Manager: "unknown", Time: metav1.Unix(repair.Time.Unix(), 0), Repaired: !repair.Failed,
		})
	}
	return out
}

// cut bounds a text to n characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}
