// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// waitComponent returns when a process serves, or with the end of its log when it does not.
func (cp *ControlPlane) waitComponent(ctx context.Context, c Component) error {
	switch c {
	case Etcd:
		return cp.poll(ctx, c, func(ctx context.Context) error {
			return probe(ctx, &http.Client{Transport: &http.Transport{DialContext: cp.opts.Dial, DisableKeepAlives: true}}, fmt.Sprintf("http://127.0.0.1:%d/health", cp.ports.Etcd))
		})
	case APIServer:
		return cp.waitAPIServer(ctx)
	case Scheduler:
		return cp.waitHealthy(ctx, c, cp.ports.Scheduler)
	default:
		return cp.waitHealthy(ctx, c, cp.ports.ControllerManager)
	}
}

func (cp *ControlPlane) waitHealthy(ctx context.Context, c Component, port int) error {
	config := cp.config()
	config.Dial = cp.opts.Dial
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return cp.poll(ctx, c, func(ctx context.Context) error {
		return probe(ctx, client, fmt.Sprintf("https://%s:%d/healthz", loopback, port))
	})
}

func (cp *ControlPlane) waitAPIServer(ctx context.Context) error {
	client, err := cp.client()
	if err != nil {
		return err
	}
	return cp.poll(ctx, APIServer, func(ctx context.Context) error {
		if err := client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
			return err
		}
		_, err := client.Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		return err
	})
}

// waitReady returns when the whole control plane serves.
func (cp *ControlPlane) waitReady(ctx context.Context) error {
	if err := cp.waitAPIServer(ctx); err != nil || !cp.opts.ControllerManager {
		return err
	}
	client, err := cp.client()
	if err != nil {
		return err
	}
	accounts := client.ServiceAccounts(metav1.NamespaceDefault)
	return cp.poll(ctx, ControllerManager, func(ctx context.Context) error {
		_, err := accounts.CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		return err
	})
}

// poll asks until the answer is yes.
func (cp *ControlPlane) poll(ctx context.Context, c Component, ask func(context.Context) error) error {
	p := cp.processes[c]
	err := p.Await(ctx, ask)
	if err != nil && strings.Contains(p.Tail(), "address already in use") {
		err = fmt.Errorf("%w: %w", err, errPortTaken)
	}
	return err
}

func (cp *ControlPlane) client() (corev1client.CoreV1Interface, error) {
	return corev1client.NewForConfig(cp.config())
}

func probe(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
