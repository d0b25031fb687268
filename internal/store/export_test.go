package store

import "fmt"

// Bound limits the database to so many pages, where a test cannot mount a small
// disk.
func (s *Store) Bound(pages int) error {
	if _, err := s.quick.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		return err
	}
	_, err := s.sure.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return err
}
