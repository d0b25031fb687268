package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// portsOf lists the published ports. Compose has expanded ranges such as
// "3000-3002:3000-3002"; of a range for one container port ("8000-8009:80") the
// first is taken, with a warning.
func portsOf(s types.ServiceConfig, own settings) ([]steady.Port, error) {
	var out []steady.Port
	targets := map[string]bool{}
	for _, p := range s.Ports {
		published, err := publishedOf(p.Published)
		if err != nil || p.Target == 0 || p.Target > 65535 {
			return nil, steady.ErrCompose.With(
				fmt.Sprintf("services.%s.ports: %q to %d is no port", s.Name, p.Published, p.Target), "a port is 1 to 65535")
		}
		port := steady.Port{
			HostIP:    p.HostIP,
			Published: published,
			Target:    uint16(p.Target),
			Transport: p.Protocol,
		}
		if port.Transport == "" {
			port.Transport = "tcp"
		}
		port.Protocol = protocolOf(port, p.AppProtocol, own)
		targets[strconv.Itoa(int(p.Target))] = true
		if !slices.Contains(out, port) {
			out = append(out, port)
		}
	}
	for _, target := range own.targets {
		if !targets[target] {
			return nil, steady.ErrCompose.With(
				fmt.Sprintf("services.%s.x-steady.ports.%s: the service does not publish container port %s", s.Name, target, target),
				"name a container port that stands under ports")
		}
	}
	return out, nil
}

func publishedOf(s string) (uint16, error) {
	if s == "" {
		return 0, nil
	}
	first, _, _ := strings.Cut(s, "-")
	n, err := strconv.ParseUint(first, 10, 16)
	return uint16(n), err
}

// protocolOf: the port's x-steady, the service's, app_protocol, the project's
// x-steady, then Auto.
func protocolOf(p steady.Port, app string, own settings) string {
	if p.Transport == "udp" {
		return steady.TCP // nothing but bytes
	}
	if v, ok := own.service[fmt.Sprintf("ports.%d.protocol", p.Target)]; ok {
		return v.(string)
	}
	if v, ok := own.service["protocol"]; ok {
		return v.(string)
	}
	if v := appProtocol(app); v != "" {
		return v
	}
	return setting(own, "protocol", steady.Auto)
}

// appProtocol maps Compose's app_protocol. What the proxy cannot take apart goes
// through byte by byte: TLS and all that is not HTTP.
func appProtocol(app string) string {
	switch strings.ToLower(app) {
	case "":
		return ""
	case "http", "http/1.1", "http1", "ws":
		return steady.HTTP
	}
	if isH2C(app) {
		return steady.H2C
	}
	return steady.TCP
}
