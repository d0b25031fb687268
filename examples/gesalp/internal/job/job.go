// Package job carries a synthesis job from the api to a worker and its progress
// and rows back, over NATS JetStream, so that any replica of any release can
// answer for any job. Local does the same in one process, for when the queue is
// away.
package job

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Limits of a job.
const (
	MaxRows  = 1_000_000
	MaxCells = 5_000_000         // rows × columns
	MaxTime  = 120 * time.Second // from the moment a worker takes it
)

// Errors a caller must tell apart.
var (
	ErrNone   = errors.New("no such job")
	ErrAway   = errors.New("the queue does not answer")
	ErrEnded  = errors.New("job has ended already")
	ErrAsking = errors.New("job asks for too much")
)

// Job is what is to be made.
type Job struct {
	ID      string        `json:"id"`
	Rows    int           `json:"rows"`
	Chunk   int           `json:"chunk"`          // rows between two reports of progress
	Pace    time.Duration `json:"pace,omitempty"` // pause after each chunk, so that a test can have a long job
	Seed    uint64        `json:"seed"`
	Created time.Time     `json:"created"`
}

// New gives a job its id and seed. Errors wrap ErrAsking.
func New(rows, columns, chunk int, pace time.Duration) (Job, error) {
	if rows < 1 || rows > MaxRows || chunk < 1 || pace < 0 {
		return Job{}, fmt.Errorf("%w: rows are 1 to %d, chunk at least 1, pace not negative", ErrAsking, MaxRows)
	}
	if rows*columns > MaxCells {
		return Job{}, fmt.Errorf("%w: more than %d cells", ErrAsking, MaxCells)
	}
	chunks := (rows + chunk - 1) / chunk
	if pace > MaxTime/time.Duration(chunks) {
		return Job{}, fmt.Errorf("%w: %d chunks at a pace of %s take longer than %s", ErrAsking, chunks, pace, MaxTime)
	}
	var seed [8]byte
	rand.Read(seed[:]) // never fails
	return Job{
		ID: rand.Text(), Rows: rows, Chunk: chunk, Pace: pace,
		Seed: binary.LittleEndian.Uint64(seed[:]), Created: time.Now().UTC(),
	}, nil
}

var idPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// ValidID says whether id could be a job's; the queue takes no other as a key.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// Phase is where a job stands.
type Phase string

// Phases of a job. Done and Failed are final.
const (
	Queued  Phase = "queued"
	Running Phase = "running"
	Done    Phase = "done"
	Failed  Phase = "failed"
)

// State is how far a job has come.
type State struct {
	Job     Job    `json:"job"`
	Phase   Phase  `json:"phase"`
	Made    int    `json:"made"`              // rows so far; never goes back
	Attempt int    `json:"attempt"`           // 1 unless a worker died
	Worker  string `json:"worker,omitempty"`  // who has it, or had it last
	Release string `json:"release,omitempty"` // the worker's
	Error   string `json:"error,omitempty"`
}

// Ended says whether the state is final.
func (s State) Ended() bool { return s.Phase == Done || s.Phase == Failed }

// after gives the state that follows old when s is reported, and whether it may:
// what has ended stays as it ended, and progress does not go back.
func (s State) after(old State) (State, bool) {
	if old.Ended() {
		return old, false
	}
	s.Made = max(s.Made, old.Made)
	return s, true
}
