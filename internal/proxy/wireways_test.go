package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wireRequest is a request, valid or not, as a transport can carry it.
type wireRequest struct {
	method, path, authority string
	fields                  [][2]string
	body                    string
	scheme                  string // of HTTP/2 and HTTP/3; empty: the right one
}

// wireAnswer is what came back.
type wireAnswer struct {
	status int // 0: refused without an answer
	header http.Header
	body   string
	whole  bool // the answer came to its end, and was not broken off
}

// wireWay is one way to the app: one transport on one kind of listener. Each
// request has a connection of its own and is written byte by byte, so that no
// client library can refuse it.
type wireWay struct {
	name    string
	version int // of HTTP
	ask     func(t *testing.T, r wireRequest) wireAnswer
	raw     func(t *testing.T) net.Conn // a bare connection; nil for HTTP/3
}

// wirePatience bounds every exchange.
const wirePatience = 20 * time.Second

// http1 speaks HTTP/1.1 on what dial opens.
func http1(name string, dial func(t *testing.T) net.Conn) wireWay {
	return wireWay{name: name, version: 1, raw: dial, ask: func(t *testing.T, r wireRequest) wireAnswer {
		t.Helper()
		c := dial(t)
		defer c.Close()
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.path, r.authority)
		for _, f := range r.fields {
			fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
		}
		if r.body != "" {
			fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
		}
		_, _ = io.WriteString(c, b.String()+"\r\n"+r.body)
		return readHTTP1(c, r.method)
	}}
}

func readHTTP1(c net.Conn, method string) wireAnswer {
	return nextHTTP1(bufio.NewReader(c), method)
}

// nextHTTP1 reads one answer of several.
func nextHTTP1(r *bufio.Reader, method string) wireAnswer {
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return wireAnswer{}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return wireAnswer{res.StatusCode, res.Header, string(body), err == nil}
}

// overHTTP2 speaks HTTP/2 on what dial opens.
func overHTTP2(name, scheme string, dial func(t *testing.T) net.Conn) wireWay {
	return wireWay{name: name, version: 2, raw: dial, ask: func(t *testing.T, r wireRequest) wireAnswer {
		t.Helper()
		c := dial(t)
		defer c.Close()
		_, _ = io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = f.WriteSettings()
		var block bytes.Buffer
		e := hpack.NewEncoder(&block)
		for _, field := range r.pseudo(scheme) {
			_ = e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: r.body == ""})
		if r.body != "" {
			_ = f.WriteData(1, true, []byte(r.body))
		}
		return readHTTP2(f)
	}}
}

// pseudo are the fields of a request's head in HTTP/2 and HTTP/3.
func (r wireRequest) pseudo(scheme string) [][2]string {
	if r.scheme != "" {
		scheme = r.scheme
	}
	out := [][2]string{{":method", r.method}, {":scheme", scheme}, {":path", r.path}, {":authority", r.authority}}
	for _, f := range r.fields {
		out = append(out, [2]string{strings.ToLower(f[0]), f[1]})
	}
	if r.body != "" {
		out = append(out, [2]string{"content-length", strconv.Itoa(len(r.body))})
	}
	return out
}

func readHTTP2(f *http2.Framer) wireAnswer {
	a := wireAnswer{header: http.Header{}}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return a
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			a.status, _ = strconv.Atoi(frame.PseudoValue("status"))
			for _, field := range frame.RegularFields() {
				a.header.Add(field.Name, field.Value)
			}
			a.whole = frame.StreamEnded()
		case *http2.DataFrame:
			a.body += string(frame.Data())
			a.whole = frame.StreamEnded()
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return a
		}
		if a.whole {
			return a
		}
	}
}

// overHTTP3 speaks HTTP/3 with a server.
func overHTTP3(addr string, conf *tls.Config) wireWay {
	return wireWay{name: "h3", version: 3, ask: func(t *testing.T, r wireRequest) wireAnswer {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), wirePatience)
		defer cancel()
		conf := conf.Clone()
		conf.NextProtos = []string{"h3"}
		var c *quic.Conn
		eventually(t, "HTTP/3 is answered", func() (ok bool) {
			var err error
			c, err = quic.DialAddr(ctx, addr, conf, nil)
			return err == nil
		})
		defer func() { _ = c.CloseWithError(0x100, "") }() // H3_NO_ERROR
		settings, err := c.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = settings.Write([]byte{0, 4, 0}) // a control stream with empty SETTINGS
		s, err := c.OpenStreamSync(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.SetDeadline(time.Now().Add(wirePatience))
		var block bytes.Buffer
		e := qpack.NewEncoder(&block)
		for _, field := range r.pseudo("https") {
			_ = e.WriteField(qpack.HeaderField{Name: field[0], Value: field[1]})
		}
		out := http3Frame(1, block.Bytes())
		if r.body != "" {
			out = append(out, http3Frame(0, []byte(r.body))...)
		}
		_, _ = s.Write(out)
		_ = s.Close()
		return readHTTP3(s)
	}}
}

func http3Frame(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

func readHTTP3(s io.Reader) wireAnswer {
	a := wireAnswer{header: http.Header{}}
	r := quicvarint.NewReader(s)
	for {
		kind, err := quicvarint.Read(r)
		if err != nil {
			a.whole = err == io.EOF && a.status > 0
			return a
		}
		size, err := quicvarint.Read(r)
		if err != nil {
			return a
		}
		payload, err := io.ReadAll(io.LimitReader(r, int64(size)))
		if kind == 0 {
			a.body += string(payload)
		}
		if err != nil {
			return a
		}
		if kind == 1 {
			a.head(payload)
		}
	}
}

func (a *wireAnswer) head(block []byte) {
	next := qpack.NewDecoder().Decode(block)
	for field, err := next(); err == nil; field, err = next() {
		if field.Name == ":status" {
			a.status, _ = strconv.Atoi(field.Value)
			continue
		}
		a.header.Add(field.Name, field.Value)
	}
}
