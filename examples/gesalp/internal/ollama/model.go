// Package ollama stands in for Ollama: it speaks its /api/tags and /api/generate,
// keeps a model on a volume, and takes as long to load it as it is told to. It
// understands nothing.
package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const modelSize = 8 << 20 // bytes

// Model is one model on disk.
type Model struct {
	Name     string
	Size     int64
	Digest   string // SHA-256, hex
	Modified time.Time
}

// Load reads the model from dir, making it first if it is not there, and takes
// about takes for it.
func Load(ctx context.Context, dir, name string, takes time.Duration) (Model, error) {
	path := filepath.Join(dir, "models", "stand-in.bin")
	if err := makeModel(path); err != nil {
		return Model{}, fmt.Errorf("make model: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return Model{}, fmt.Errorf("open model: %w", err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return Model{}, fmt.Errorf("open model: %w", err)
	}
	sum := sha256.New()
	const parts = 32
	for range parts {
		if _, err := io.CopyN(sum, f, stat.Size()/parts); err != nil {
			return Model{}, fmt.Errorf("read model: %w", err)
		}
		if err := sleep(ctx, takes/parts); err != nil {
			return Model{}, err
		}
	}
	return Model{Name: name, Size: stat.Size(), Digest: hex.EncodeToString(sum.Sum(nil)), Modified: stat.ModTime().UTC()}, nil
}

// makeModel writes the file whole or not at all.
func makeModel(path string) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".stand-in-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), modelSize)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
