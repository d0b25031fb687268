package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gesalpai.ch/steady"
)

// record is what the table file holds.
type record struct {
	Table steady.Table `json:"table"`
	Bound []uint16     `json:"bound"` // the port of each listener, those the proxy chose included

	BoundUDP []uint16 `json:"bound_udp,omitempty"` // the same of the table's UDP addresses

	Spoken spoken `json:"spoken,omitempty"`
}

// save writes the record so that a crash at any moment leaves the old one or the
// new one, whole.
func save(path string, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode table: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	if err := fillFile(tmp, b); err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write table: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write table: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func fillFile(f *os.File, b []byte) error {
	_, err := f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory of table: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory of table: %w", err)
	}
	return nil
}

// load reads the record; a zero one where there is no file.
func load(path string) (record, error) {
	var r record
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read table: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("decode table %s: %w", path, err)
	}
	if err := check(r.Table); err != nil {
		return record{}, err
	}
	return r, nil
}

// clearTemporaries removes what a crash within save left.
func clearTemporaries(path string) {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".*"))
	for _, f := range left {
		os.Remove(f)
	}
}
