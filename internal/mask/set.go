package mask

import (
	"slices"
	"sync"

	"gesalpai.ch/steady"
)

// Set has a mask for each project. Its methods may be called from several
// goroutines.
type Set struct {
	load func(project string) ([]steady.Spec, error)

	mu       sync.Mutex
	projects map[string]*Mask
}

// NewSet returns a set that learns a project's values from load when it is first
// asked about the project. An error of load's is not kept: it is asked again.
func NewSet(load func(project string) ([]steady.Spec, error)) *Set {
	return &Set{load: load, projects: map[string]*Mask{}}
}

// Learn adds the values of specs.
func (s *Set) Learn(specs ...steady.Spec) {
	for _, spec := range specs {
		m := s.of(spec.Project)
		s.mu.Lock()
		m.Spec(spec)
		s.mu.Unlock()
	}
}

// of is the project's mask. What load says is asked for without the lock: two who
// come at once both learn it.
func (s *Set) of(project string) *Mask {
	s.mu.Lock()
	m := s.projects[project]
	s.mu.Unlock()
	if m != nil {
		return m
	}
	specs, err := s.load(project)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m = s.projects[project]; m == nil {
		m = new(Mask)
	}
	if err == nil {
		s.projects[project] = m
	}
	for _, spec := range specs {
		m.Spec(spec)
	}
	return m
}

// Text masks the values of one project.
func (s *Set) Text(project, text string) string {
	m := s.of(project)
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.Text(text)
}

// Error masks an error of one project's, its hint and its log lines too. nil stays
// nil; what was given is not changed.
func (s *Set) Error(project string, e *steady.Error) *steady.Error {
	if e == nil {
		return nil
	}
	c := *e
	c.Text, c.Hint, c.Tail = s.Text(project, e.Text), s.Text(project, e.Hint), slices.Clone(e.Tail)
	for i, line := range c.Tail {
		c.Tail[i] = s.Text(project, line)
	}
	return &c
}

// All masks the values of every project that was asked about or learnt from.
func (s *Set) All(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.projects {
		text = m.Text(text)
	}
	return text
}
