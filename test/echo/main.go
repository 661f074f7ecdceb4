// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Command echo answers requests with what it saw of them. Tests of load balancers send it their traffic.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

const usage = `Answers requests with what it saw of them, to tell what a load balancer in between did.

Usage: echo [flags]

HTTP, in versions 1.1 and 2 (by ALPN with TLS, by prior knowledge without):
  ANY  /...         JSON of the request; the header X-Echo-Name of every answer has the name, too
  GET  /healthz     200, or 503 after POST /unhealthy and while it shuts down; POST /healthy reverts it
  GET  /ws          WebSocket that sends back each message; HTTP/1.1 only
  POST /grpc.health.v1.Health/Check
                    gRPC: SERVING, or NOT_SERVING when /healthz answers 503

Query parameters of ANY /..., in the order in which they act:
  burn=200ms        use so much CPU time
  delay=200ms       wait
  status=503        answer with this status
  size=65536        answer with so many bytes instead of JSON
  chunks=5          answer with so many lines instead of JSON, each sent at once
  interval=100ms    wait so long between two of these lines

TCP: sends its name in a line, and then each line that it gets. Where -proxy-protocol is set, the address that the
connection comes from follows the name after a space.

An empty address switches a listener off.

Flags:
`

type config struct {
	http, https, tcp string
	cert, key        string
	name             string
	delayShutdown    time.Duration
	proxyProtocol    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	host, _ := os.Hostname()
	var c config
	flag.StringVar(&c.http, "http", ":8080", "address for HTTP")
	flag.StringVar(&c.https, "https", ":8443", "address for HTTPS; it asks for a client certificate, and takes any or none")
	flag.StringVar(&c.tcp, "tcp", ":9000", "address for TCP")
	flag.StringVar(&c.cert, "cert", "", "file with the certificate of HTTPS (default: signed by itself, made at the start)")
	flag.StringVar(&c.key, "key", "", "file with the key of HTTPS")
	flag.StringVar(&c.name, "name", cmp.Or(os.Getenv("POD_NAME"), host), "name in answers; the default is $POD_NAME or the host's")
	flag.DurationVar(&c.delayShutdown, "delay-shutdown", 0,
		"time to go on serving after SIGTERM, with /healthz at 503, before it finishes what it serves and ends")
	flag.BoolVar(&c.proxyProtocol, "proxy-protocol", false, "read PROXY headers, version 1 or 2, where a connection begins with one")
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(ctx, c); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "echo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, c config) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("want flags only, have %q", flag.Args())
	}
	s, err := listen(c)
	if err != nil {
		return err
	}
	addresses := s.addresses()
	for _, kind := range slices.Sorted(maps.Keys(addresses)) {
		fmt.Printf("%s serves %s at %s\n", c.name, kind, addresses[kind])
	}
	return s.serve(ctx)
}
