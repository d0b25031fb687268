package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"

	"gesalpai.ch/steady/internal/proxy"
)

// Words that --access-log takes instead of a file.
const (
	accessOff    = "off"
	accessStdout = "-"
)

// accessFlags say where the proxy's access log goes.
type accessFlags struct {
	to     string
	format choice
	query  bool
}

func (f *accessFlags) add(fs *pflag.FlagSet) {
	f.format = choice{value: proxy.AccessJSON, allowed: []string{proxy.AccessJSON, proxy.AccessCombined}}
	fs.StringVar(&f.to, "access-log", accessOff, "`file` of the proxy's access log, a line per HTTP request; - is standard output")
	fs.Var(&f.format, "access-log-format", "`format` of the access log: json or combined")
	fs.BoolVar(&f.query, "access-log-query", false, "log query strings too, which may hold secrets")
}

func (f *accessFlags) absolute() error {
	if f.to == "" {
		return usage("steady daemon", "--access-log wants a file, - or off")
	}
	if f.to == accessOff || f.to == accessStdout {
		return nil
	}
	path, err := filepath.Abs(f.to)
	if err != nil {
		return fmt.Errorf("find the access log: %w", err)
	}
	f.to = path
	return nil
}

// arguments gives the same wishes to a child.
func (f *accessFlags) arguments() []string {
	if f.to == accessOff {
		return nil
	}
	return []string{"--access-log", f.to, "--access-log-format", f.format.value, "--access-log-query=" + strconv.FormatBool(f.query)}
}

// options are the proxy's own.
func (f *accessFlags) options(stdout io.Writer) proxy.AccessLog {
	o := proxy.AccessLog{Format: f.format.value, Query: f.query}
	switch f.to {
	case accessOff:
	case accessStdout:
		o.Writer = stdout
	default:
		o.Path = f.to
	}
	return o
}

// wish is what a proxy that obeys the flags says of itself.
func (f *accessFlags) wish() proxy.AccessLogStatus {
	if f.to == accessOff {
		return proxy.AccessLogStatus{}
	}
	return proxy.AccessLogStatus{On: true, Path: f.options(io.Discard).Path, Format: f.format.value, Query: f.query}
}
