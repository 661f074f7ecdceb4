// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"context"
	"fmt"
	"strings"
)

// CAFile is one file of CA certificates.
type CAFile struct {
	Used bool
	// Certs are its certificates, in order.
	Certs []Cert
}

// CAFiles are the names of all CA files that HAProxy holds.
func (c *Client) CAFiles(ctx context.Context) ([]string, error) {
	answer, err := c.show(ctx, "show ssl ca-file", says("#"))
	if err != nil {
		return nil, err
	}
	return parseNames(answer), nil
}

// CAFile tells of one CA file: ErrNotFound if HAProxy does not hold it.
func (c *Client) CAFile(ctx context.Context, name string) (CAFile, error) {
	if err := named("CA file", name); err != nil {
		return CAFile{}, err
	}
	answer, err := c.show(ctx, "show ssl ca-file", says("Filename:"), name)
	if err != nil {
		return CAFile{}, err
	}
	head, rest, _ := strings.Cut(answer, "\nCertificate #")
	file := CAFile{Used: strings.Contains(head, "Status: Used")}
	if rest == "" {
		return file, nil
	}
	for part := range strings.SplitSeq(rest, "\nCertificate #") {
		cert, err := parseCert(part)
		if err != nil {
			return CAFile{}, err
		}
		cert.Used = file.Used
		file.Certs = append(file.Certs, cert)
	}
	return file, nil
}

// NewCA makes an empty CA file under a name, to be filled by SetCA: ErrExists if there is one.
func NewCA(name string) Command {
	return ofFile("new ssl ca-file", says("New CA file created"), name)
}

// SetCA replaces the certificates of a CA file, in use or not, at most 15,000 bytes. On an error the old ones stay in
// force. Until a reload HAProxy goes on naming the CAs of its start when it asks clients for a certificate, and clients
// that go by the names send none.
func (c *Client) SetCA(ctx context.Context, name string, pem []byte) error {
	return c.transact(ctx, "ssl ca-file", name, pem)
}

// DelCA removes a CA file: ErrBusy while something uses it.
func DelCA(name string) Command {
	return ofFile("del ssl ca-file", func(a string) bool { return strings.HasSuffix(a, "' deleted!") }, name)
}

// CrtListEntry is one line of a crt-list.
type CrtListEntry struct {
	// Cert is the name of a certificate.
	Cert string
	// Line is the number of the line; 0 for one that was added over the socket on some versions.
	Line int
	// Options are the options and filters behind the name, as HAProxy prints them.
	Options string
}

// CrtLists are the names of all crt-lists.
func (c *Client) CrtLists(ctx context.Context) ([]string, error) {
	answer, err := c.show(ctx, "show ssl crt-list", func(a string) bool { return !strings.Contains(a, "nknown command") })
	if err != nil {
		return nil, err
	}
	return parseNames(answer), nil
}

// CrtList are the entries of one crt-list: ErrNotFound if there is no such list.
func (c *Client) CrtList(ctx context.Context, name string) ([]CrtListEntry, error) {
	if err := named("crt-list", name); err != nil {
		return nil, err
	}
	answer, err := c.show(ctx, "show ssl crt-list", says("# "), "-n", name)
	if err != nil {
		return nil, err
	}
	return parseCrtList(answer)
}

func parseCrtList(answer string) ([]CrtListEntry, error) {
	var entries []CrtListEntry
	for l := range strings.Lines(answer) {
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		id, options, _ := strings.Cut(l, " ")
		cert, number, ok := cutLast(id, ":")
		var n int
		if ok {
			if _, err := fmt.Sscanf(number, "%d", &n); err != nil {
				return nil, fmt.Errorf("%w: a line of a crt-list without its number", ErrProtocol)
			}
		}
		entries = append(entries, CrtListEntry{Cert: cert, Line: n, Options: options})
	}
	return entries, nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// AddCrtList adds a certificate that HAProxy holds to a crt-list, with filters of SNI: host names, "*." in front or
// "!" as in a crt-list; none for the names in the certificate.
func AddCrtList(list, cert string, filters ...string) Command {
	const what = "add ssl crt-list"
	for _, err := range []error{named("crt-list", list), named("certificate", cert)} {
		if err != nil {
			return failed(what, err)
		}
	}
	ok := func(a string) bool { return strings.HasSuffix(a, "Success!") }
	if len(filters) == 0 {
		return command(what, ok, list, cert)
	}
	// A line of a crt-list has its own syntax, in which brackets and quotes mean something.
	words := append([]string{cert}, filters...)
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \t[]\"'\\#") {
			return failed(what, fmt.Errorf("%w: %q in a line of a crt-list", ErrValue, w))
		}
	}
	return command(what, ok, list).with(strings.Join(words, " "))
}

// DelCrtList removes a certificate from a crt-list.
func DelCrtList(list, cert string) Command {
	const what = "del ssl crt-list"
	for _, err := range []error{named("crt-list", list), named("certificate", cert)} {
		if err != nil {
			return failed(what, err)
		}
	}
	return command(what, func(a string) bool { return strings.HasSuffix(a, "deleted in crtlist '"+list+"'!") }, list, cert)
}
