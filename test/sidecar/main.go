// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command sidecar stands where Istio's proxy stands in a pod, on machines that cannot have Envoy. It answers the kubelet
// as pilot-agent does, and carries no traffic: it catches no connection, asks istiod for no configuration, has no
// certificate and encrypts nothing.
//
// So what tests can show with it is which pods istiod gives a proxy of which revision, and that such pods start, become
// ready, drain and end. They cannot show that requests get through a mesh, that mutual TLS is spoken, that a gateway
// routes, or that proxies of one version get along with istiod of another.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// readyPort is Envoy's own, statusPort that of pilot-agent.
	readyPort, statusPort = 15021, 15020
	// endTimeout is what open requests get when the pod ends.
	endTimeout = time.Second
	askTimeout = 3 * time.Second
	waitPoll   = 100 * time.Millisecond
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "sidecar:", err)
		os.Exit(1)
	}
}

// run does what istiod's templates call pilot-agent for: the rules of istio-init (or their check, beside istio-cni), the
// proxy itself, the hook that holds applications until it is ready, and the one that drains it.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command")
	}
	switch args[0] {
	case "istio-iptables", "istio-clean-iptables", "request":
		return nil
	case "proxy":
		probes, err := probesOf(os.Getenv("ISTIO_KUBE_APP_PROBERS"), os.Getenv("INSTANCE_IP"))
		if err != nil {
			return err
		}
		return serve(ctx, ":"+strconv.Itoa(readyPort), ":"+strconv.Itoa(statusPort), probes)
	case "wait":
		return wait(ctx, "http://127.0.0.1:"+strconv.Itoa(readyPort)+"/healthz/ready")
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
}

// serve answers probes until the context ends.
func serve(ctx context.Context, ready, status string, probes map[string]string) error {
	group, ctx := errgroup.WithContext(ctx)
	for address, handler := range map[string]http.Handler{ready: answers(nil), status: answers(probes)} {
		server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: askTimeout}
		group.Go(func() error {
			if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
			defer cancel()
			if server.Shutdown(ending) != nil {
				return server.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

// answers is 200 to everything but the probes of applications, which istiod sends here instead: those are asked.
func answers(probes map[string]string) http.Handler {
	client := &http.Client{
		Timeout: askTimeout,
		// The kubelet follows none to other hosts; pilot-agent tells that there was one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address, known := probes[r.URL.Path]
		if !known {
			w.WriteHeader(http.StatusOK)
			return
		}
		w.WriteHeader(ask(r.Context(), client, address))
	})
}

// ask gives the status of an application's answer.
func ask(ctx context.Context, client *http.Client, address string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return http.StatusInternalServerError
	}
	response, err := client.Do(request)
	if err != nil {
		return http.StatusInternalServerError
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// probesOf reads which addresses of the pod stand behind which paths. Of probes that are no HTTP, it knows none: they are
// answered as if they passed.
func probesOf(text, host string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var all map[string]struct {
		HTTPGet *struct {
			Path   string `json:"path"`
			Port   int    `json:"port"`
			Scheme string `json:"scheme"`
		} `json:"httpGet"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read the probes of applications: %w", err)
	}
	out := map[string]string{}
	for path, probe := range all {
		if probe.HTTPGet != nil && probe.HTTPGet.Scheme != "HTTPS" {
			out[path] = "http://" + net.JoinHostPort(host, strconv.Itoa(probe.HTTPGet.Port)) + probe.HTTPGet.Path
		}
	}
	return out, nil
}

// wait returns when the address answers 200.
func wait(ctx context.Context, address string) error {
	client := &http.Client{Timeout: askTimeout}
	for ask(ctx, client, address) != http.StatusOK {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(waitPoll):
		}
	}
	return nil
}
