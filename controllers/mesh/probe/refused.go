// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The API server tells these apart by its words alone.
var (
	webhookFailed = regexp.MustCompile(`failed calling webhook "([^"]*)"`)
	webhookDenied = regexp.MustCompile(`^admission webhook "([^"]*)" denied the request(?:: (?s)(.*))?$`)
	quotaExceeded = regexp.MustCompile(`exceeded quota: ([^,]+)|failed quota: ([^:]+)`)
	podNamed      = regexp.MustCompile(`pods? "` + prefix + `[a-z0-9]*"`)
)

const (
	// maxWhy bounds what others wrote.
	maxWhy = 512
	// unauthorized is how the refusal begins of who may not make pods at all.
	unauthorized = "pods is forbidden: User "
	// noAccount is how the refusal ends in a namespace that is too new.
	noAccount = "error looking up service account "
)

// troubles are why a webhook is not reached, by a part of the API server's words. Those have addresses and times in them, and
// the answers of servers.
var troubles = []struct{ words, what string }{
	{"connection refused", "the connection is refused"},
	{"no endpoints available", "its Service has no ready pods"},
	{"no service port", "its Service has no such port"},
	{`" not found`, "its Service is not there"},
	{"x509:", "its certificate is not that of the caBundle"},
	{"tls:", "TLS fails"},
	{"deadline exceeded", "there is no answer in time"},
	{"Client.Timeout", "there is no answer in time"},
	{"i/o timeout", "there is no answer in time"},
	{"no route to host", "there is no route to it"},
	{"no such host", "its host has no address"},
	{"error on the server", "its server fails"},
	{"the server ", "its server refuses"},
	{"json parse error", "its answer is no AdmissionReview"},
	{"expected webhook response", "its answer is no AdmissionReview"},
	{"connection reset", "the connection breaks"},
	{"EOF", "the connection breaks"},
}

// refused makes sense of a refusal; false is an error to be retried.
func refused(err error) (Result, bool) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return Result{}, false
	}
	message := status.Status().Message
	if failed := webhookFailed.FindStringSubmatch(message); failed != nil {
		return Result{Why: fmt.Sprintf("webhook %s does not answer: %s", failed[1], trouble(message))}, true
	}
	if denied := webhookDenied.FindStringSubmatch(message); denied != nil {
		return Result{Answers: true, Why: bounded(fmt.Sprintf("webhook %s denies a dry-run pod: %s", denied[1], denied[2]))}, true
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), strings.HasPrefix(message, unauthorized), strings.Contains(message, noAccount):
		return Result{}, false
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return admission(message), true
	default:
		return Result{}, false
	}
}

// admission is that the API server itself does not let the pod in, which it decides on after all webhooks.
func admission(message string) Result {
	message = bounded(podNamed.ReplaceAllString(message, "the pod"))
	if strings.Contains(message, containerProxy) || strings.Contains(message, containerInit) {
		return Result{Answers: true, Injects: true, Why: "a dry-run pod is injected and then refused: " + message}
	}
	if quota := quotaExceeded.FindStringSubmatch(message); quota != nil {
		name := quota[1] + quota[2]
		return Result{Answers: true, Why: fmt.Sprintf("ResourceQuota %s refuses a dry-run pod, so whether it is injected is not known", name)}
	}
	return Result{Answers: true, Why: "a dry-run pod is refused, so whether it is injected is not known: " + message}
}

func trouble(message string) string {
	for _, t := range troubles {
		if strings.Contains(message, t.words) {
			return t.what
		}
	}
	return "the call fails"
}

func bounded(text string) string {
	if len(text) <= maxWhy {
		return text
	}
	return strings.ToValidUTF8(text[:maxWhy], "") + "…"
}
