package collector

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// longest is the longest line that is read whole, in bytes. Docker's driver
// splits at 16 KiB.
const longest = 64 << 10

// Collector listens for syslog lines. Its methods are safe for concurrent use.
type Collector struct {
	network  string
	listener net.Listener  // of stream sockets
	packets  *net.UnixConn // of unixgram

	mu      sync.Mutex
	ids     map[string]*entry
	sources map[string]*source
	open    map[net.Conn]bool
	last    time.Time // of a line
}

// source is one container.
type source struct {
	name  string
	lines int // with or without id
}

// entry is what is known of one id.
type entry struct {
	by []string // containers in order of arrival, one for each line
}

// Listen opens the socket: "tcp" with a host:port of loopback (port 0 for a free
// one), "unix" or "unixgram" with a path. Nothing is read before Run.
func Listen(network, address string) (*Collector, error) {
	c := &Collector{
		network: network, ids: map[string]*entry{}, sources: map[string]*source{},
		open: map[net.Conn]bool{},
	}
	var err error
	switch network {
	case "tcp", "unix":
		c.listener, err = net.Listen(network, address)
	case "unixgram":
		c.packets, err = net.ListenUnixgram(network, &net.UnixAddr{Name: address, Net: network})
	default:
		err = net.UnknownNetworkError(network)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for log lines: %w", err)
	}
	return c, nil
}

// Address is what the driver's option syslog-address takes:
// "tcp://127.0.0.1:40123" or "unix:///run/x.sock".
func (c *Collector) Address() string {
	if c.packets != nil {
		return c.network + "://" + c.packets.LocalAddr().String()
	}
	return c.network + "://" + c.listener.Addr().String()
}

// LogOptions are the driver's options that a container needs to log here.
func (c *Collector) LogOptions() map[string]string {
	return map[string]string{"syslog-address": c.Address(), "tag": "{{.Name}}"}
}

// Run takes lines until ctx ends; then it closes the socket and all
// connections, and returns nil when their readers have ended. Containers that
// still log lose their lines from then on, and none can start any more.
func (c *Collector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		<-ctx.Done()
		c.close()
	})
	if c.packets != nil {
		return unlessEnded(ctx, c.readPackets())
	}
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return unlessEnded(ctx, fmt.Errorf("accept a log connection: %w", err))
		}
		c.began(conn)
		if ctx.Err() != nil {
			_ = conn.Close() // close may have run before it was noted
		}
		wg.Go(func() {
			defer c.ended(conn)
			c.readLines(conn)
		})
	}
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Collector) close() {
	if c.packets != nil {
		_ = c.packets.Close()
		return
	}
	_ = c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Close()
	}
}

func (c *Collector) began(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
}

func (c *Collector) ended(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// readLines reads until the connection ends. A line that is too long, or ends
// with the connection, counts as it is.
func (c *Collector) readLines(r io.Reader) {
	br := bufio.NewReaderSize(r, longest)
	for {
		line, err := br.ReadSlice('\n')
		if len(line) > 0 {
			c.take(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (c *Collector) readPackets() error {
	buf := make([]byte, longest)
	for {
		n, err := c.packets.Read(buf)
		if err != nil {
			return fmt.Errorf("read a log packet: %w", err)
		}
		for line := range strings.Lines(string(buf[:n])) {
			c.take([]byte(line))
		}
	}
}

func (c *Collector) take(line []byte) {
	by, id := parse(line)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	e := c.ids[string(id)]
	if e == nil && len(id) > 0 {
		e = &entry{}
		c.ids[string(id)] = e
	}
	from := c.sources[string(by)]
	if from == nil {
		from = &source{name: string(by)}
		c.sources[from.name] = from
	}
	from.lines++
	if e != nil {
		e.by = append(e.by, from.name)
	}
}

// Lines counts the lines of each container, with and without an id.
func (c *Collector) Lines() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := make(map[string]int, len(c.sources))
	for name, from := range c.sources {
		lines[name] = from.lines
	}
	return lines
}

// LoggedBy are the containers that logged the id, one for each line.
func (c *Collector) LoggedBy(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.ids[id]; e != nil {
		return slices.Clone(e.by)
	}
	return nil
}
