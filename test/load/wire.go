package load

import (
	"bytes"
	"fmt"

	"gesalpai.ch/steady/internal/drill"
)

// What a load is made of is what `steady drill` fires: there is one generator.
type (
	// Phase is how far an exchange came before it was lost.
	Phase = drill.Phase

	fault    = drill.Fault
	exchange = drill.Exchange
	response = drill.Response
	target   = drill.Target
	conn     = drill.Conn
	schedule = drill.Schedule
)

// Phases.
const (
	Refused   = drill.Refused
	Connect   = drill.Connect
	Write     = drill.Write
	FirstByte = drill.FirstByte
	Head      = drill.Head
	Body      = drill.Body
	Status    = drill.Status
	Wrong     = drill.Wrong
	Cut       = drill.Cut
	phases    = drill.Phases
)

// agent is the rig's User-Agent.
const agent = "steady-rig"

// wants says what is wrong with a complete answer, nil when nothing is. A body is
// to come back as it was sent.
func wants(x *exchange, r response) *fault {
	switch {
	case r.ID != "" && r.ID != x.ID:
		return &fault{Phase: Wrong, Err: fmt.Errorf("the answer to %s", r.ID)}
	case r.Status < 200 || r.Status >= 400:
		return &fault{Phase: Status, Err: fmt.Errorf("status %d", r.Status)}
	case x.Body != nil && !bytes.Equal(x.Body, r.Body):
		return &fault{Phase: Wrong, Err: fmt.Errorf("%d bytes sent, %d other bytes came back", len(x.Body), len(r.Body))}
	}
	return nil
}
