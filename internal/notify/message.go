package notify

import (
	"fmt"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// message is what receivers get. It holds no environment value, no command and no
// line of a container's log.
type message struct {
	Notice   string    `json:"notice"`
	Text     string    `json:"text"` // all of it in a sentence, for a person
	Project  string    `json:"project"`
	Rollout  int64     `json:"rollout,omitempty"`
	Kind     string    `json:"kind,omitempty"`
	Who      string    `json:"who,omitempty"`
	Services []service `json:"services,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Requests int64     `json:"requests,omitempty"`
	Lost     int64     `json:"lost,omitempty"`
	Error    *problem  `json:"error,omitempty"`
}

type service struct {
	Service string `json:"service"`
	From    int    `json:"from,omitempty"` // release that served before
	To      int    `json:"to,omitempty"`   // release that it was about
}

type problem struct {
	Code    string `json:"code"`
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"`
	Service string `json:"service,omitempty"`
	Serving int    `json:"serving,omitempty"` // release that still serves
}

// notice is what an event tells of a rollout; empty for one that tells nothing.
func notice(e steady.Event) string {
	switch e.Kind {
	case steady.EventAccepted:
		return steady.NotifyAccepted
	case steady.EventDone, steady.EventFailed:
		return e.State
	}
	return ""
}

// messageOf tells of a rollout.
func messageOf(r steady.Rollout, notice string) message {
	m := message{Notice: notice, Project: r.Project, Rollout: r.ID, Kind: r.Kind, Who: r.Who, Started: r.Started, Ended: r.Ended}
	for _, s := range r.Services {
		m.Services = append(m.Services, service{Service: s, To: r.Number})
	}
	if r.Receipt != nil {
		m.Services, m.Requests, m.Lost = nil, r.Receipt.Requests(), r.Receipt.Lost()
		for _, s := range r.Receipt.Services {
			m.Services = append(m.Services, service{s.Service, s.From, s.To})
		}
	}
	if r.Error != nil {
		m.Error = &problem{r.Error.Code, r.Error.Text, r.Error.Hint, r.Error.Service, r.Error.Serving}
	}
	m.Text = m.sentence()
	return m
}

// testMessage tells of nothing.
func testMessage(project string) message {
	return message{Notice: "test", Project: project, Text: project + ": a test of steady's notifications"}
}

func (m message) sentence() string {
	subject := fmt.Sprintf("%s: %s %d", m.Project, m.Kind, m.Rollout)
	if names := m.names(); names != "" {
		subject += " of " + names
	}
	by := ""
	if m.Who != "" {
		by = " by " + m.Who
	}
	switch m.Notice {
	case steady.NotifyAccepted:
		return subject + " has begun" + by
	case steady.RolloutDone:
		return fmt.Sprintf("%s is done%s in %s: %d requests, %d lost", subject, by, m.Ended.Sub(m.Started).Round(100*time.Millisecond), m.Requests, m.Lost)
	case steady.RolloutUnchanged:
		return subject + " had nothing to do" + by
	}
	text := subject + " " + map[string]string{steady.RolloutFailed: "failed", steady.RolloutRolledBack: "was rolled back",
		steady.RolloutPaused: "is paused", steady.RolloutAborted: "was aborted"}[m.Notice] + by
	if m.Error == nil {
		return text
	}
	text += ": " + m.Error.Text
	if m.Error.Serving > 0 {
		text += fmt.Sprintf("; release %d of %s serves", m.Error.Serving, m.Error.Service)
	}
	return text
}

// names are the services with the releases they go to.
func (m message) names() string {
	var out []string
	for _, s := range m.Services {
		if s.To > 0 {
			out = append(out, fmt.Sprintf("%s (release %d)", s.Service, s.To))
			continue
		}
		out = append(out, s.Service)
	}
	return strings.Join(out, ", ")
}
