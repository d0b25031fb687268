package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// leaveWithin bounds the wait for the answer to our own close frame.
const leaveWithin = 2 * time.Second

func handshakeKey(id string) string {
	sum := sha1.Sum([]byte(id))
	return base64.StdEncoding.EncodeToString(sum[:16])
}

func webSocketHeader(key string) string {
	return "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
}

func webSocketWelcome(r response, key string) error {
	if r.Status != 101 {
		return fmt.Errorf("status %d where 101 should be", r.Status)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if want := base64.StdEncoding.EncodeToString(sum[:]); r.Accept != want {
		return fmt.Errorf("Sec-WebSocket-Accept %q, want %q", r.Accept, want)
	}
	return nil
}

// socket is the client's end of one WebSocket that echoes numbered messages.
type socket struct {
	*stream
	first time.Time     // message k is due at first + k*every
	every time.Duration // between messages

	writing sync.Mutex
	out     []byte
}

type verdict struct {
	how Ending
	err error
}

// talkWebSocket sends a numbered message every so often and awaits its echo.
func talkWebSocket(every time.Duration) func(context.Context, *stream) (Ending, error) {
	return func(ctx context.Context, s *stream) (Ending, error) {
		stagger := time.Duration(rand.Int64N(int64(every)))
		w := &socket{stream: s, first: time.Now().Add(stagger), every: every}
		heard := make(chan verdict, 1)
		_ = s.c.Net.SetWriteDeadline(time.Time{})
		go func() { heard <- w.listen() }()
		v := w.speak(ctx, heard)
		return v.how, v.err
	}
}

func (w *socket) due(k int) time.Time { return w.first.Add(time.Duration(k) * w.every) }

func (w *socket) text(k int) []byte { return strconv.AppendInt([]byte(w.id+" "), int64(k), 10) }

// speak returns after listen has.
func (w *socket) speak(ctx context.Context, heard <-chan verdict) verdict {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for k := 0; ; k++ {
		timer.Reset(time.Until(w.due(k)))
		select {
		case v := <-heard:
			return v
		case <-ctx.Done():
			return w.leave(heard)
		case <-timer.C:
		}
		if err := w.write(opText, w.text(k)); err != nil {
			// A close frame may have come before the connection's end.
			_ = w.c.Net.SetReadDeadline(time.Now().Add(leaveWithin))
			if v := <-heard; v.how != CutOff {
				return v
			}
			return verdict{CutOff, fmt.Errorf("write message %d: %w", k, err)}
		}
	}
}

func (w *socket) leave(heard <-chan verdict) verdict {
	_ = w.write(opClose, binary.BigEndian.AppendUint16(nil, 1000))
	_ = w.c.Net.SetReadDeadline(time.Now().Add(leaveWithin))
	if v := <-heard; v.how == Garbled {
		return v
	}
	return verdict{how: Left}
}

func (w *socket) write(op byte, payload []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.out = appendFrame(w.out[:0], op, payload)
	_ = w.c.Net.SetWriteDeadline(time.Now().Add(w.timeout))
	_, err := w.c.Net.Write(w.out)
	return err
}

// listen reads until the stream ends. Echoes come in order and once; only the
// very first message may be a greeting instead.
func (w *socket) listen() verdict {
	next := 0
	for {
		op, payload, err := w.readMessage()
		switch {
		case errors.Is(err, errClosed):
			return verdict{how: Closed}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return verdict{CutOff, errSilent}
		case err != nil:
			return verdict{CutOff, err}
		}
		_ = w.c.Net.SetReadDeadline(time.Now().Add(w.timeout))
		greeting := w.heard.IsZero() && !bytes.HasPrefix(payload, []byte(w.id))
		w.message(payload)
		if greeting {
			continue
		}
		if op != opText || !bytes.Equal(payload, w.text(next)) {
			return verdict{Garbled, fmt.Errorf("message %.80q where the echo of %d should be", payload, next)}
		}
		w.tally.took(time.Since(w.due(next)))
		next++
	}
}

// errClosed says that the peer's close frame was read, and answered.
var errClosed = errors.New("closed by the peer")

func (w *socket) readMessage() (op byte, message []byte, err error) {
	for {
		f, err := readFrame(w.c.Buffer)
		if err != nil {
			return 0, nil, err
		}
		switch f.op {
		case opPing:
			_ = w.write(opPong, f.payload)
			continue
		case opPong:
			continue
		case opClose:
			_ = w.write(opClose, f.payload)
			return 0, nil, errClosed
		case opContinuation:
			if op == 0 {
				return 0, nil, errors.New("a continuation of nothing")
			}
		default:
			op = f.op
		}
		message = append(message, f.payload...)
		if f.fin {
			return op, message, nil
		}
	}
}

type frame struct {
	fin     bool
	op      byte
	payload []byte
}

// readFrame reads one frame of a server: unmasked, without extensions, at most
// 1 MiB.
func readFrame(br *bufio.Reader) (frame, error) {
	var head [8]byte
	if _, err := io.ReadFull(br, head[:2]); err != nil {
		return frame{}, err
	}
	if head[0]&0x70 != 0 || head[1]&0x80 != 0 {
		return frame{}, fmt.Errorf("frame head %x is masked or extended", head[:2])
	}
	f, size := frame{fin: head[0]&0x80 != 0, op: head[0] & 0x0f}, uint64(head[1])
	if wide := map[uint64]int{126: 2, 127: 8}[size]; wide > 0 {
		clear(head[:])
		if _, err := io.ReadFull(br, head[8-wide:]); err != nil {
			return frame{}, err
		}
		size = binary.BigEndian.Uint64(head[:])
	}
	if size > 1<<20 {
		return frame{}, fmt.Errorf("frame of %d bytes", size)
	}
	f.payload = make([]byte, size)
	_, err := io.ReadFull(br, f.payload)
	return f, err
}

// appendFrame appends one whole frame of a client: masked.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	mask := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	dst = append(dst, mask...)
	for i, b := range payload {
		dst = append(dst, b^mask[i%4])
	}
	return dst
}
