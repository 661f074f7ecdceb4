// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

// Package socket speaks with a running HAProxy, 2.6 to 3.2, over the Unix sockets of its worker ("stats socket … level
// admin") and of its master (-S).
//
// Each batch of commands is one connection and one round trip: commands go out together in interactive mode, where
// a prompt ends each answer. Lists of commands separated by semicolons are no alternative, as 2.6 ends some answers
// ("del server") without the empty line that ends the others. A connection that stays open is none either: after a
// reload it goes on with the old worker, and HAProxy closes it when idle ("stats timeout") without telling whether the
// command on its way was still run. It would save 0.1 to 0.15 ms of 0.17 to 0.26.
//
// What differs between the versions, measured on 2.6.12 and 3.2.26:
//
//   - "add server" takes on both: check, inter, fastinter, downinter, fall, rise, port, addr, check-ssl, check-sni,
//     check-alpn, check-proto, check-send-proxy, check-via-socks4, agent-check and its kind, observe, error-limit,
//     on-error, on-marked-down, on-marked-up, ssl, verify, verifyhost, sni, alpn, proto, ws, ssl-min-ver, ssl-max-ver,
//     ciphers, ciphersuites, no-ssl-reuse, no-tls-tickets, ca-file, crt, weight, maxconn, minconn, maxqueue, slowstart,
//     send-proxy, send-proxy-v2 and its kind, proxy-v2-options, backup, disabled, tfo, source, id, pool-max-conn,
//     pool-low-conn, pool-purge-delay, track.
//   - Only 3.2 takes cookie, init-state, guid, curves, sigalgs, set-proxy-v2-tlv-fmt, pool-conn-name, idle-ping,
//     strict-maxconn, hash-key, shard, check-reuse-pool, check-pool-conn-name; only 2.6 takes enabled.
//   - Neither takes no-check, init-addr, resolvers, resolve-prefer, interface, namespace, tcp-ut, redir, max-reuse,
//     socks4, non-stick, log-proto, or track of a server that was itself added.
//   - ca-file and crt name a file that the configuration loaded at the start or that was made with NewCA or NewCert.
//     "@system-ca" needs nothing.
//   - Servers can be added to backends with roundrobin, leastconn, random, first, and the hashes with "hash-type
//     consistent"; not with static-rr or another hash type. A name for an address is taken and never resolved.
//   - A reload over the master socket ends the connection on 2.6, which tells only that it failed; 3.2 answers with
//     its log.
//   - 2.6 puts the certificate of one transaction into that of another without an error; 3.2 refuses it.
//
// The texts of HAProxy's answers are its only result codes. They are compared in this package and nowhere else.
package socket
