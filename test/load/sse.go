package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gesalpai.ch/steady/internal/drill"
)

func sseHeader(string) string { return "Accept: text/event-stream\r\nCache-Control: no-cache\r\n" }

func sseWelcome(r response, _ string) error {
	if r.Status != 200 || !strings.HasPrefix(r.Media, "text/event-stream") || !r.Chunked {
		return fmt.Errorf("status %d, %q, chunked %t where an event stream should be", r.Status, r.Media, r.Chunked)
	}
	return nil
}

// talkSSE reads events until the stream ends or ctx does.
func talkSSE(ctx context.Context, s *stream) (Ending, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	over := make(chan struct{})
	defer close(over)
	wg.Go(func() {
		select {
		case <-ctx.Done():
			_ = s.c.Net.SetReadDeadline(time.Unix(1, 0)) // wakes the read
		case <-over:
		}
	})
	r := &events{br: bufio.NewReader(drill.NewChunkReader(s.c.Buffer)), last: -1}
	for {
		// In this order: a deadline set after ctx's end must not outlive it.
		_ = s.c.Net.SetReadDeadline(time.Now().Add(s.timeout))
		if ctx.Err() != nil {
			return Left, nil
		}
		data, err := r.next()
		switch {
		case errors.Is(err, errGarbled):
			return Garbled, err
		case errors.Is(err, io.EOF):
			return Closed, nil
		case err != nil && ctx.Err() != nil:
			return Left, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return CutOff, errSilent
		case err != nil:
			return CutOff, err
		}
		s.message(data)
	}
}

var errGarbled = errors.New("garbled")

// events reads an event stream. Where events carry numbers as ids, each must be
// its predecessor's plus one.
type events struct {
	br   *bufio.Reader
	last int
}

// next is the data of the next event; io.EOF at an orderly end between events.
func (e *events) next() ([]byte, error) {
	var data []byte
	for begun := false; ; begun = true {
		line, err := e.br.ReadBytes('\n')
		if errors.Is(err, io.EOF) && (begun || len(line) > 0) {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(line) == 0:
			return data, nil
		case string(name) == "data":
			data = append(data, value...)
		case string(name) == "id":
			if err := e.number(string(value)); err != nil {
				return nil, err
			}
		}
	}
}

func (e *events) number(value string) error {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil {
		return nil // not numbered
	}
	if e.last >= 0 && n != e.last+1 {
		return fmt.Errorf("%w: event %d after %d", errGarbled, n, e.last)
	}
	e.last = n
	return nil
}
