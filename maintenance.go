package steady

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Defaults and bounds of a maintenance.
const (
	DefaultRetryAfter     = 5 * time.Minute
	DefaultMaintenanceSay = "We are working on it and will be back soon."
	MaxMaintenancePage    = 64 << 10 // bytes: it stands in the proxy's table
	MaxMaintenanceMessage = 1 << 10  // bytes
	maxAllowed            = 256      // entries of each list
)

// Maintenance is what visitors of published ports get instead of a service's
// answers: 503 and a page. Calls from within the project are not concerned.
type Maintenance struct {
	Project string `json:"project"`
	Service string `json:"service,omitempty"` // empty: every service of the project without one of its own
	Open    bool   `json:"open,omitempty"`    // the exception to the project's: this service is open

	Page       string        `json:"page,omitempty"`    // HTML, whole; empty: a built-in one that shows Message
	Message    string        `json:"message,omitempty"` // plain text, for the built-in page and for JSON
	RetryAfter time.Duration `json:"retry_after"`       // what Retry-After says, rounded up to seconds

	Allow        []netip.Prefix `json:"allow,omitempty"`         // client addresses that are let through
	AllowHeaders []HeaderSum    `json:"allow_headers,omitempty"` // requests with one of these are let through
	Trust        []netip.Prefix `json:"trust,omitempty"`         // peers besides loopback whose X-Forwarded-For is believed

	Since time.Time `json:"since"`
	Who   string    `json:"who,omitempty"` // user@host of the caller
}

// HeaderSum is a header field that lets a request through. The value is a secret,
// so only its sum is kept: see SumHeader.
type HeaderSum struct {
	Name string `json:"name"`          // in canonical form, for people too
	Sum  string `json:"sum,omitempty"` // 64 hex digits
}

// SumHeader is the sum by which a header's value is known again.
func SumHeader(value string) string {
	sum := sha256.Sum256([]byte("steady maintenance\x00" + value))
	return hex.EncodeToString(sum[:])
}

// Ref names what it concerns: "shop/api", or "shop" for the project.
func (m Maintenance) Ref() string {
	if m.Service == "" {
		return m.Project
	}
	return m.Project + "/" + m.Service
}

// Shown is the maintenance for people: without the page's text and without sums.
func (m Maintenance) Shown() Maintenance {
	if m.Page != "" {
		m.Page = fmt.Sprintf("%d bytes", len(m.Page))
	}
	shown := make([]HeaderSum, len(m.AllowHeaders))
	for i, h := range m.AllowHeaders {
		shown[i].Name = h.Name
	}
	m.AllowHeaders = shown
	return m
}

// Validate says what makes it unusable, as steady.ErrUsage; nil when nothing does.
func (m Maintenance) Validate() error {
	const hint = "steady maintenance on --help"
	switch {
	case len(m.Page) > MaxMaintenancePage:
		return ErrUsage.With(fmt.Sprintf("the page has %d bytes, and the proxy keeps at most %d", len(m.Page), MaxMaintenancePage), "put images and styles elsewhere, or make them smaller")
	case len(m.Message) > MaxMaintenanceMessage:
		return ErrUsage.With(fmt.Sprintf("the message has %d bytes, and at most %d fit", len(m.Message), MaxMaintenanceMessage), "--page takes a whole page")
	case m.RetryAfter <= 0 || m.RetryAfter > 30*24*time.Hour:
		return ErrUsage.With(fmt.Sprintf("a retry after %s is none: it is above 0 and at most 30 days", m.RetryAfter), hint)
	case len(m.Allow) > maxAllowed || len(m.AllowHeaders) > maxAllowed || len(m.Trust) > maxAllowed:
		return ErrUsage.With(fmt.Sprintf("at most %d addresses, headers and trusted peers can be listed", maxAllowed), "--allow takes a whole network, such as 203.0.113.0/24")
	}
	for _, h := range m.AllowHeaders {
		if h.Name == "" || len(h.Sum) != 2*sha256.Size {
			return ErrUsage.With("a header that is let through has a name and a value", hint)
		}
	}
	return nil
}

// MaintenanceOf finds the one that holds for a service: its own, else the
// project's; nil where the service is open.
func MaintenanceOf(all []Maintenance, project, service string) *Maintenance {
	var found *Maintenance
	for i, m := range all {
		switch {
		case m.Project != project:
		case m.Service == service && service != "":
			if m.Open {
				return nil
			}
			return &all[i]
		case m.Service == "":
			found = &all[i]
		}
	}
	return found
}

// ParsePrefix reads an address or a network: "203.0.113.7" is "203.0.113.7/32".
func ParsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q: write the IPv4 network without ::ffff", s)
	}
	return p.Masked(), nil
}

// Maintained is what putting services under maintenance came to.
type Maintained struct {
	Services []MaintainedService `json:"services"` // that publish ports, by name
}

// MaintainedService is one service of it.
type MaintainedService struct {
	Service     string       `json:"service"`
	Maintenance *Maintenance `json:"maintenance,omitempty"` // as Shown; nil: the service is open
	Changed     bool         `json:"changed,omitempty"`     // by the call that tells of it
	Drained     Drained      `json:"drained,omitzero"`      // what was in flight when it began
}
