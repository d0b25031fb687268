package drill

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// NewChunkReader reads the chunked body that begins in br.
func NewChunkReader(br *bufio.Reader) io.Reader { return &chunkReader{br: br} }

// chunkReader reads a chunked body (RFC 9112, section 7.1). It answers io.EOF
// only after the terminating chunk: a connection that ends before is
// io.ErrUnexpectedEOF.
type chunkReader struct {
	br   *bufio.Reader
	left int64 // of the current chunk
	done bool
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.left == 0 {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.br.Read(p)
	c.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil || c.left > 0 {
		return n, err
	}
	return n, c.endOfChunk()
}

func (c *chunkReader) nextChunk() error {
	line, err := readLine(c.br)
	if err != nil {
		return err
	}
	size, _, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 31)
	if err != nil {
		return fmt.Errorf("chunk size %q", line)
	}
	c.left = int64(n)
	if n > 0 {
		return nil
	}
	return c.trailer()
}

func (c *chunkReader) trailer() error {
	for {
		line, err := readLine(c.br)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			c.done = true
			return io.EOF
		}
	}
}

func (c *chunkReader) endOfChunk() error {
	line, err := readLine(c.br)
	if err == nil && len(line) > 0 {
		return fmt.Errorf("chunk runs on with %q", line)
	}
	return err
}
