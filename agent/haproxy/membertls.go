// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// serverParams gives the params of a target's servers. A pool that cannot be as safe as it asks to be is refused as a
// whole: nothing is sent in the clear, or to whom nobody checked, in its place.
func (b *builder) serverParams(t *target) (params []string, ok bool) {
	pool := t.pool
	params = monitorParams(t)
	if pool.SlowStart > 0 {
		params = append(params, "slowstart", paramMillis(pool.SlowStart))
	}
	if pool.MaxConnections > 0 {
		params = append(params, "maxconn", number(pool.MaxConnections))
		if pool.MaxQueue > 0 {
			params = append(params, "maxqueue", number(pool.MaxQueue))
		}
	}
	switch pool.ProxyProtocol {
	case 0:
	case 1:
		params = append(params, "send-proxy")
	default:
		params = append(params, "send-proxy-v2")
	}
	if pool.TLS != nil {
		secure, ok := b.tlsParams(t)
		if !ok {
			return nil, false
		}
		return append(params, secure...), true
	}
	if pool.Protocol == model.MemberHTTP2 && !t.tcp {
		params = append(params, "proto", "h2")
	}
	return params, true
}

// systemAuthorities is HAProxy's word for those of the system.
const systemAuthorities = "@system-ca"

// tlsParams are the params of encryption.
func (b *builder) tlsParams(t *target) (params []string, ok bool) {
	tls, field := t.pool.TLS, poolField(t.pool)+".tls"
	params = []string{"ssl"}
	if tls.Insecure {
		params = append(params, "verify", "none")
	} else {
		file := systemAuthorities
		if tls.CA != nil {
			var err error
			if file, err = b.authoritiesFile(*tls.CA); err != nil {
				b.refuse(field+".ca", "InvalidSecret", err.Error())
				return nil, false
			}
		}
		params = append(params, "verify", "required", "ca-file", file)
	}
	if tls.ServerName != "" && !isHostname(tls.ServerName) {
		b.refuse(field+".serverName", "InvalidName", "the server name is no host name")
		return nil, false
	}
	params = append(params, serverName(t)...)
	if tls.Certificate != nil {
		file, err := b.certificateFile(*tls.Certificate)
		if err != nil {
			b.refuse(field+".certificate", "InvalidSecret", err.Error())
			return nil, false
		}
		params = append(params, "crt", file)
	}
	switch {
	case t.tcp:
	case t.pool.Protocol == model.MemberHTTP2:
		params = append(params, "alpn", "h2")
	default:
		params = append(params, "alpn", "http/1.1")
	}
	return params, true
}

// serverName gives the params for SNI. HAProxy holds a certificate to the server name that it sent, whichever it was, so a
// pool that checks certificates and names no server sends none: the certificate is then good for any name.
func serverName(t *target) []string {
	tls := t.pool.TLS
	switch {
	case tls.ServerName != "":
		return []string{"sni", "str(" + tls.ServerName + ")", "verifyhost", tls.ServerName}
	case tls.Insecure && !t.tcp:
		return []string{"sni", "req.hdr(host),field(1,:),lower"}
	default:
		return nil
	}
}

// isHostname reports whether a value is a host name in ASCII: letters, digits, hyphens and dots.
func isHostname(name string) bool {
	return isToken(name) && len(name) <= 253 && !strings.Contains(name, "_") && name[0] != '-' && name[0] != '.'
}

// keepFiles writes a backend that nothing is sent to, for HAProxy to load the files of a pool's encryption at its start: a
// server that is added at run time can use only files that are loaded.
func (b *builder) keepFiles(w *config.Writer, t *target, params []string) {
	args := []config.Arg{config.Raw("none 127.0.0.1:1 ssl")}
	for _, word := range []string{"ca-file", "crt"} {
		if at := slices.Index(params, word); at >= 0 && params[at+1] != systemAuthorities {
			args = append(args, config.Raw(word), config.Word(params[at+1]))
		}
	}
	if len(args) == 1 {
		return
	}
	w.Section("backend", "files."+t.pool.Name)
	w.Line("mode tcp")
	w.Line("timeout connect 1s")
	w.Line("timeout server 1s")
	w.Line("server", append(args, config.Raw("verify none disabled"))...)
}

func paramMillis(d model.Duration) string {
	return strconv.FormatInt(max(1, int64((d.Std()+time.Millisecond-1)/time.Millisecond)), 10) + "ms"
}

func number(n int32) string { return strconv.Itoa(int(n)) }
