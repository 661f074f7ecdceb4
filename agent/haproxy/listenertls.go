// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"fmt"
	"strings"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

const (
	reasonBadCertificate = "InvalidCertificate"
	reasonBadAuthorities = "InvalidAuthorities"
)

// listenerTLS gives the arguments of bind. A certificate that cannot be used is left out; false is for a listener without
// any, and for one whose client authorities cannot be used: it must not be open to all instead.
func (b *builder) listenerTLS(field string, l *model.Listener) ([]config.Arg, bool) {
	list := b.file("certs/listener." + l.Name + ".list")
	var lines []Certificate
	for i, ref := range l.TLS.Certificates {
		at := fmt.Sprintf("%s.tls.certificates[%d]", field, i)
		if b.options.Without[at] {
			b.refuse(at, reasonRejected, "HAProxy does not take it")
			continue
		}
		file, err := b.certificateFile(ref)
		if err != nil {
			b.refuse(at, reasonBadCertificate, err.Error())
			continue
		}
		lines = append(lines, Certificate{Path: file})
	}
	args := []config.Arg{config.Raw("ssl crt-list"), config.Word(list)}
	if auth := l.TLS.ClientAuth; auth != nil {
		file, err := b.authoritiesFile(auth.CA)
		if err != nil {
			b.refuse(field+".tls.clientAuth.ca", reasonBadAuthorities, err.Error())
			return nil, false
		}
		verify := "verify required"
		if auth.Optional {
			verify = "verify optional"
		}
		args = append(args, config.Raw("ca-file"), config.Word(file), config.Raw(verify))
	}
	if len(lines) == 0 {
		b.refuse(field, reasonBadCertificate, "the listener has no certificate that can be used, so it is not open")
		return nil, false
	}
	b.structure.CertLists[list] = lines
	return append(args, tlsVersions(l)...), true
}

func tlsVersions(l *model.Listener) []config.Arg {
	args := []config.Arg{config.Raw("ssl-min-ver"), config.Word("TLSv" + l.TLS.MinVersion)}
	if l.TLS.MaxVersion != "" {
		args = append(args, config.Raw("ssl-max-ver"), config.Word("TLSv"+l.TLS.MaxVersion))
	}
	ciphers := strings.Join(l.TLS.Ciphers, ":")
	if l.TLS.MinVersion < "1.2" {
		// OpenSSL offers the old versions at its lowest level only, and they have other ciphers.
		if ciphers == "" {
			ciphers = defaultCiphers + ":HIGH:!aNULL:!eNULL"
		}
		ciphers += ":@SECLEVEL=0"
	}
	if ciphers != "" {
		args = append(args, config.Raw("ciphers"), config.Word(ciphers))
	}
	if len(l.TLS.CipherSuites) > 0 {
		args = append(args, config.Raw("ciphersuites"), config.Word(strings.Join(l.TLS.CipherSuites, ":")))
	}
	protocols := l.TLS.ALPN
	if len(protocols) == 0 && l.Protocol == model.HTTPS {
		protocols = []string{"h2", "http/1.1"}
	}
	if len(protocols) > 0 {
		args = append(args, config.Raw("alpn"), config.Word(strings.Join(protocols, ",")))
	}
	return args
}
