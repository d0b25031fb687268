package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// mostOfLine is where an overlong line is broken.
const mostOfLine = 1 << 20

// lines turns what the Engine sends of a container's log, with timestamps, into
// lines. tty says that the container has a terminal: then the streams come as one
// and unframed.
type lines struct {
	of      steady.LogLine // what all lines have in common
	say     func(steady.LogLine) error
	partial [2]steady.LogLine // by stream: a line whose end has not come yet
	begun   [2]bool
}

func (l *lines) read(r io.Reader, tty bool) error {
	read := l.frames
	if tty {
		read = l.raw
	}
	if err := read(bufio.NewReader(r)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for stream := range l.partial { // a last line without its end
		if err := l.flush(stream); err != nil {
			return err
		}
	}
	return nil
}

// frames reads the multiplexed form: 1 byte stream, 3 of nothing, 4 of size, then
// a message, which begins with its time. An overlong line comes as several.
func (l *lines) frames(r *bufio.Reader) error {
	var header [8]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return cutOff(err)
		}
		msg := make([]byte, binary.BigEndian.Uint32(header[4:]))
		if _, err := io.ReadFull(r, msg); err != nil {
			return cutOff(err)
		}
		if header[0] > 2 { // the Engine's own error, within the stream
			return fmt.Errorf("read the log: %s", bytes.TrimSpace(msg))
		}
		stream := 0
		if header[0] == 2 {
			stream = 1
		}
		if err := l.take(stream, string(msg)); err != nil {
			return err
		}
	}
}

// raw reads the form of a terminal.
func (l *lines) raw(r *bufio.Reader) error {
	for {
		text, err := r.ReadString('\n')
		if text != "" {
			if err := l.take(0, text); err != nil {
				return err
			}
		}
		if err != nil {
			return cutOff(err)
		}
	}
}

// cutOff makes the end of a log that is being written to as good as any.
func cutOff(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// take adds one message to its stream and says the line when its end has come.
func (l *lines) take(stream int, msg string) error {
	stamp, text, ok := strings.Cut(msg, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if !ok || err != nil {
		at, text = time.Time{}, msg
	}
	p := &l.partial[stream]
	if !l.begun[stream] {
		*p, l.begun[stream] = l.of, true
		p.Time, p.Stderr = at, stream == 1
	}
	whole := strings.HasSuffix(text, "\n")
	p.Text += strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if !whole && len(p.Text) < mostOfLine {
		return nil
	}
	return l.flush(stream)
}

func (l *lines) flush(stream int) error {
	if !l.begun[stream] {
		return nil
	}
	l.begun[stream] = false
	return l.say(l.partial[stream])
}
