package drill

import (
	"fmt"
	"slices"
)

// Phase is how far an exchange came before it was lost.
type Phase int

const (
	Refused   Phase = iota // the connect was refused
	Connect                // the connect timed out or failed otherwise
	Write                  // the request could not be written
	FirstByte              // not one byte of an answer came
	Head                   // the head broke off or is no HTTP/1.1
	Body                   // the body broke off or is not framed as said
	Status                 // answered in full, but with a status that is a failure
	Wrong                  // answered in full, but with another body, or to another request
	Cut                    // an open stream ended without an orderly close
	Phases                 // how many there are
)

var phaseNames = [Phases]string{"refused", "connect", "write", "first-byte", "head", "body", "status", "wrong", "cut"}

// String names the phase as the report's table does.
func (p Phase) String() string {
	if p < 0 || p >= Phases {
		return fmt.Sprintf("phase(%d)", int(p))
	}
	return phaseNames[p]
}

// MarshalText makes the phase's name a key in JSON.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a phase's name.
func (p *Phase) UnmarshalText(b []byte) error {
	i := slices.Index(phaseNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("%q is no phase", b)
	}
	*p = Phase(i)
	return nil
}

// Fault is an error that knows its phase.
type Fault struct {
	Phase Phase
	Err   error
}

func (f *Fault) Error() string { return f.Phase.String() + ": " + f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// PhaseNames are the names of all phases, in order.
func PhaseNames() []string { return phaseNames[:] }
