package store

import "fmt"

var (
	SystemCause = systemCause
	TryWrite    = tryWrite
)

// Bound limits the database to so many pages, where a test cannot mount a small
// disk.
func (s *Store) Bound(pages int) error {
	if _, err := s.quick.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		return err
	}
	_, err := s.sure.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return err
}

// Synchronous gives SQLite's word for what a sure and a quick call wait for: 2 is
// FULL, 1 is NORMAL.
func (s *Store) Synchronous() (sure, quick int, err error) {
	if err := s.sure.QueryRow("PRAGMA synchronous").Scan(&sure); err != nil {
		return 0, 0, err
	}
	err = s.quick.QueryRow("PRAGMA synchronous").Scan(&quick)
	return sure, quick, err
}
