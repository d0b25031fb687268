package compose

import (
	"fmt"
	"strconv"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"gesalpai.ch/steady"
)

// holdKeys are the settings of the gate behind which a service is replaced that
// cannot stand beside itself.
func holdKeys() []Key {
	return []Key{
		{Name: "hold", Type: "on | off", Default: "on", parse: onOrOff,
			Doc: "Whether requests and new connections wait at the proxy while a service that cannot run twice is replaced. off: they get 503 meanwhile, and connections are reset."},
		{Name: "hold.for", Type: "duration", Default: steady.DefaultHoldFor.String(), parse: someTime,
			Doc: "How long each of them may wait; then 503 with Retry-After, and connections are closed."},
		{Name: "hold.requests", Type: "number", Default: fmt.Sprint(steady.DefaultHoldRequests), parse: count,
			Doc: "How many of them may wait at a time; more are refused at once."},
		{Name: "hold.bytes", Type: "size", Default: "64MiB", parse: sized,
			Doc: "How much of request bodies may be in memory meanwhile. Of each body at most 64 KiB is read meanwhile."},
	}
}

// holdingOf is what the files say of holding; nil where they say nothing.
func holdingOf(own settings) *steady.Holding {
	h := steady.Holding{
		Off:      !setting(own, "hold", true),
		For:      setting(own, "hold.for", time.Duration(0)),
		Requests: setting(own, "hold.requests", 0),
		Bytes:    setting(own, "hold.bytes", int64(0)),
	}
	if h == (steady.Holding{}) {
		return nil
	}
	return &h
}

// onOrOff reads a switch. To YAML on and off may be booleans.
func onOrOff(v any) (any, error) {
	switch v {
	case "on", true:
		return true, nil
	case "off", false:
		return false, nil
	}
	return nil, fmt.Errorf("%v is neither on nor off", v)
}

// someTime is a duration above 0.
func someTime(v any) (any, error) {
	d, err := duration(v)
	if err == nil && d == time.Duration(0) {
		err = fmt.Errorf("%v is no time at all", v)
	}
	return d, err
}

// sized reads a size as Compose does, but never without its unit.
func sized(v any) (any, error) {
	var n types.UnitBytes
	s, ok := v.(string)
	if _, bare := strconv.ParseFloat(s, 64); !ok || bare == nil || n.DecodeMapstructure(s) != nil || n < 1 {
		return nil, fmt.Errorf("%v is no size such as 64MiB", v)
	}
	return int64(n), nil
}
