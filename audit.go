package steady

import "time"

// Origin is who asks the daemon for something, and from where. What the caller says
// of itself stands beside what the kernel says of it, which cannot be forged. It
// holds no values of variables but those of CI systems that name a job.
type Origin struct {
	Who     string   `json:"who,omitempty"`     // user@host, as the caller says
	From    string   `json:"from,omitempty"`    // address of the client of its SSH session
	Dir     string   `json:"dir,omitempty"`     // its working directory
	TTY     string   `json:"tty,omitempty"`     // its terminal, "/dev/pts/3"; empty: none
	CI      []string `json:"ci,omitempty"`      // NAME=value of the variables that name a CI job
	Version string   `json:"version,omitempty"` // of the steady that asks

	Files    []string `json:"files,omitempty"`     // Compose files that it read, absolute
	EnvFiles []string `json:"env_files,omitempty"` // and env files: their names, never what is in them
	Digest   string   `json:"digest,omitempty"`    // "sha256:" over the Compose files and the names of the env files

	Peer *Peer `json:"peer,omitempty"` // nil: not known
}

// Peer is the process at the other end of the daemon's socket, as the kernel has it.
type Peer struct {
	UID   int    `json:"uid"`
	PID   int    `json:"pid"`
	User  string `json:"user,omitempty"`  // name of UID on the daemon's host
	Login string `json:"login,omitempty"` // who logged in, whatever sudo came between; empty: not known
}

// Deed is one command that changed something, or was refused: an entry of the
// audit log. It holds no environment values and no free text but a lock's message.
type Deed struct {
	ID       int64     `json:"id"`
	Time     time.Time `json:"time"`
	Command  string    `json:"command"` // deploy, rollback, lock acquire, …
	Project  string    `json:"project,omitempty"`
	Services []string  `json:"services,omitempty"`
	Asked    []string  `json:"asked,omitempty"` // its options: "force", "to=41"
	Origin   Origin    `json:"origin"`

	Outcome string    `json:"outcome"` // DeedAccepted, DeedDone, DeedRefused; empty: not known, the daemon died meanwhile or is still at it
	Code    string    `json:"code,omitempty"`
	Rollout int64     `json:"rollout,omitempty"`
	State   string    `json:"state,omitempty"` // of the rollout, now
	Ended   time.Time `json:"ended,omitzero"`  // when the outcome was known; of a rollout, when it was accepted
}

// Outcomes of a deed.
const (
	DeedAccepted = "accepted" // a rollout began: its State tells the rest
	DeedDone     = "done"
	DeedRefused  = "refused" // nothing was changed; Code tells why
)

// AuditQuery says which deeds are wanted, newest first.
type AuditQuery struct {
	Project string    // empty: of every project
	Since   time.Time // zero: from the first
	Limit   int       // 0: all
}
