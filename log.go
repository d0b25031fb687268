package steady

import "time"

// LogQuery asks for log lines of a project's containers.
type LogQuery struct {
	Project  string    `json:"project"`
	Services []string  `json:"services,omitempty"` // empty: all
	Release  int       `json:"release,omitempty"`  // 0: every release there is a container of
	Follow   bool      `json:"follow,omitempty"`   // containers that come later included
	Tail     int       `json:"tail"`               // last n lines per container; below 0: all
	Since    time.Time `json:"since,omitzero"`
}

// LogLine is one line that a container wrote.
type LogLine struct {
	Time    time.Time `json:"time"`
	Service string    `json:"service"`
	Release int       `json:"release"`
	Replica string    `json:"replica"`
	Stderr  bool      `json:"stderr,omitempty"`
	Health  bool      `json:"health,omitempty"` // its healthcheck printed it
	Text    string    `json:"text"`
}
