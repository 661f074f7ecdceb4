// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/fairlead/fairlead/agent/haproxy/config"
	"github.com/fairlead/fairlead/model"
)

// The question of gRPC (grpc.health.v1.Health/Check) is a POST over HTTP/2 whose body begins with a zero byte. HAProxy's
// own questions over HTTP take no such body, so the frames are written here and sent as bytes; they never change. The
// answer that a member is well is the message {status: SERVING}, five bytes of length and two of protobuf.

const (
	frameData     = 0
	frameHeaders  = 1
	frameSettings = 4
	flagEndStream = 1
	flagEndHeads  = 4
)

// grpcServing is a message of two bytes, field 1 = 1, not compressed.
const grpcServing = "00000000020801"

// monitorGRPC writes the question. An answer other than SERVING lets HAProxy wait for the timeout: only then it is certain
// that no other comes.
func monitorGRPC(w *config.Writer, pool *model.Pool, monitor *model.Monitor) {
	scheme := "http"
	if pool.TLS != nil {
		scheme = "https"
	}
	w.Line("option tcp-check")
	w.Line("tcp-check send-binary", config.Word(hex.EncodeToString(grpcQuestion(scheme, monitorHost(pool, monitor), monitor.GRPCService))))
	w.Line("tcp-check expect binary", config.Word(grpcServing))
}

// grpcQuestion gives everything that a client says on a connection for one question.
func grpcQuestion(scheme, authority, service string) []byte {
	var head []byte
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", scheme}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", authority},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "fairlead"},
	} {
		// A literal without index: it needs no table, and so says the same on every connection.
		head = append(head, 0)
		head = hpackString(head, field[0])
		head = hpackString(head, field[1])
	}
	var message []byte
	if service != "" {
		message = binary.AppendUvarint([]byte{0x0a}, uint64(len(service)))
		message = append(message, service...)
	}
	body := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))) //nolint:gosec // at most 64 KiB
	body = append(body, message...)

	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = frame(out, frameSettings, 0, 0, nil)
	out = frame(out, frameHeaders, flagEndHeads, 1, head)
	return frame(out, frameData, flagEndStream, 1, body)
}

// frame appends a frame of HTTP/2 (RFC 9113, section 4.1).
func frame(out []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	length := len(payload)
	out = append(out, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	out = binary.BigEndian.AppendUint32(out, stream)
	return append(out, payload...)
}

// hpackString appends a string that is not compressed (RFC 7541, section 5.2).
func hpackString(out []byte, text string) []byte {
	const most = 127
	length := len(text)
	if length < most {
		return append(append(out, byte(length)), text...)
	}
	out = append(out, most)
	for length -= most; length >= 128; length >>= 7 {
		out = append(out, byte(length&127|128))
	}
	return append(append(out, byte(length)), text...)
}

// maxGRPCService keeps the question within one frame that every server takes (16 KiB).
const maxGRPCService = 4096
