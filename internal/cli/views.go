package cli

import (
	"fmt"
	"io"
	"time"

	"gesalpai.ch/steady"
)

// plainView prints a line per fact and nothing else: for files and CI.
type plainView struct {
	out    io.Writer
	teller *teller
}

func (v *plainView) event(e steady.Event) {
	for _, line := range v.teller.tell(e) {
		fmt.Fprintln(v.out, line)
	}
}

func (v *plainView) tick(time.Time) {}
func (v *plainView) close()         {}

// jsonView prints every event as it came, one a line, on standard output.
type jsonView struct{ session *session }

func (v *jsonView) event(e steady.Event) { v.session.print(object(e)) }
func (v *jsonView) tick(time.Time)       {}
func (v *jsonView) close()               {}

// quietView prints warnings only.
type quietView struct{ session *session }

func (v *quietView) event(e steady.Event) {
	if e.Kind != steady.EventPlanned || e.Plan == nil {
		return
	}
	for _, w := range warnings(*e.Plan) {
		v.session.warn(w)
	}
}

func (v *quietView) tick(time.Time) {}
func (v *quietView) close()         {}
