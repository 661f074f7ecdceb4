// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Cert is what HAProxy tells of a certificate.
type Cert struct {
	// Used says that a bind line, a server or a crt-list has it.
	Used bool
	// Serial is in hexadecimal; SHA1 is the fingerprint of the DER form. Both are in capitals, without colons.
	Serial, SHA1      string
	NotBefore         time.Time
	NotAfter          time.Time
	Subject, Issuer   string
	SubjectAltNames   []string
	ChainSubjectLines []string
}

// Certs are the names of all certificate files that HAProxy holds.
func (c *Client) Certs(ctx context.Context) ([]string, error) {
	answer, err := c.show(ctx, "show ssl cert", says("#"))
	if err != nil {
		return nil, err
	}
	return parseNames(answer), nil
}

// parseNames takes the first words of lines. Those of an open transaction come first, with an asterisk.
func parseNames(answer string) []string {
	var names []string
	for l := range strings.Lines(answer) {
		name, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " - ")
		if name = strings.TrimSpace(name); name != "" && name[0] != '#' && name[0] != '*' {
			names = append(names, name)
		}
	}
	return names
}

// Cert tells of one certificate: ErrNotFound if HAProxy does not hold it.
func (c *Client) Cert(ctx context.Context, name string) (Cert, error) {
	if err := named("certificate", name); err != nil {
		return Cert{}, err
	}
	answer, err := c.show(ctx, "show ssl cert", says("Filename:"), name)
	if err != nil {
		return Cert{}, err
	}
	return parseCert(answer)
}

const certTime = "Jan _2 15:04:05 2006 MST"

func parseCert(answer string) (Cert, error) {
	var cert Cert
	var errs []error
	moment := func(s string) time.Time {
		t, err := time.Parse(certTime, s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: a certificate's time", ErrProtocol))
		}
		return t
	}
	for l := range strings.Lines(answer) {
		name, value, _ := strings.Cut(l, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Status":
			cert.Used = value == "Used"
		case "Serial":
			cert.Serial = value
		case "SHA1 FingerPrint":
			cert.SHA1 = value
		case "notBefore":
			cert.NotBefore = moment(value)
		case "notAfter":
			cert.NotAfter = moment(value)
		case "Subject":
			cert.Subject = value
		case "Issuer":
			cert.Issuer = value
		case "Chain Subject":
			cert.ChainSubjectLines = append(cert.ChainSubjectLines, value)
		case "Subject Alternative Name":
			if value != "" {
				cert.SubjectAltNames = strings.Split(value, ", ")
			}
		}
	}
	return cert, errors.Join(errs...)
}

// pemLines are the lines of a PEM text without what a payload cannot have: empty lines, which would end it.
func pemLines(pem []byte) []string {
	var lines []string
	for l := range strings.Lines(string(pem)) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// NewCert makes an empty certificate under a name, to be filled by SetCert: ErrExists if there is one.
func NewCert(name string) Command {
	return ofFile("new ssl cert", says("New empty certificate store"), name)
}

// DelCert removes a certificate: ErrBusy while something uses it.
func DelCert(name string) Command {
	return ofFile("del ssl cert", func(a string) bool { return strings.HasSuffix(a, "' deleted!") }, name)
}

func ofFile(what string, ok func(string) bool, name string) Command {
	if err := named("file", name); err != nil {
		return failed(what, err)
	}
	return command(what, ok, name)
}

// SetCert replaces a certificate, in use or not: pem is the certificate, its chain and its key, 15,000 bytes at
// most. New connections have it when SetCert returns. On an error the old one stays in force.
func (c *Client) SetCert(ctx context.Context, name string, pem []byte) error {
	return c.transact(ctx, "ssl cert", name, pem)
}

// transact sets and commits a file of one kind. A transaction is HAProxy's, not the connection's: one that another client
// left behind is aborted.
func (c *Client) transact(ctx context.Context, kind, name string, pem []byte) error {
	set := ofFile("set "+kind, says(), name).with(pemLines(pem)...)
	if set.err != nil {
		return set.err
	}
	select {
	case c.transaction <- struct{}{}:
		defer func() { <-c.transaction }()
	case <-ctx.Done():
		return ctx.Err()
	}
	answers, err := c.ask(ctx, set)
	if err != nil {
		return err
	}
	if other := otherTransaction(answers[0]); other != "" && other != name {
		if err := c.Run(ctx, abort(kind, other)); err != nil {
			return fmt.Errorf("end what another client began: %w", err)
		}
		if answers, err = c.ask(ctx, set); err != nil {
			return err
		}
	}
	if a := strings.ToLower(answers[0]); !strings.HasPrefix(a, "transaction created") && !strings.HasPrefix(a, "transaction updated") {
		return refuse(set.name, answers[0])
	}
	commit := ofFile("commit "+kind, func(a string) bool { return strings.HasSuffix(a, "Success!") }, name)
	err = c.Run(ctx, commit)
	if err == nil {
		return nil
	}
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultTimeout)
	defer cancel()
	// Where the commit was run after all there is nothing to abort, which is as good.
	_ = c.Run(cleanup, abort(kind, name))
	return err
}

func abort(kind, name string) Command {
	return ofFile("abort "+kind, says("Transaction aborted"), name)
}

// The name of the file that a transaction is about, in the answer to "set": 2.6 goes on with the open one in silence,
// 3.2 refuses.
var (
	openTransaction    = regexp.MustCompile(`ongoing transaction is about '([^']+)'`)
	startedTransaction = regexp.MustCompile(`(?i)^transaction (?:created|updated) for (?:certificate|CA) (.+)!`)
)

func otherTransaction(answer string) string {
	for _, pattern := range []*regexp.Regexp{openTransaction, startedTransaction} {
		if m := pattern.FindStringSubmatch(answer); m != nil {
			return m[1]
		}
	}
	return ""
}
