// Package image builds images FROM scratch around static Go programs, for tests
// on an Engine without a registry.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/moby/moby/client"
)

const dockerfile = "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n"

// Build compiles the main package in dir and builds the image tag whose
// entrypoint it is. env are KEY=value pairs of the image's environment.
func Build(ctx context.Context, engine client.APIClient, tag, dir string, env ...string) error {
	program, err := compile(ctx, dir)
	if err != nil {
		return err
	}
	file := dockerfile
	for _, pair := range env {
		file += "ENV " + pair + "\n"
	}
	buildContext, err := pack(map[string][]byte{"Dockerfile": []byte(file), "app": program})
	if err != nil {
		return fmt.Errorf("pack %s: %w", tag, err)
	}
	res, err := engine.ImageBuild(ctx, buildContext, client.ImageBuildOptions{
		Tags: []string{tag}, Remove: true, ForceRemove: true,
	})
	if err != nil {
		return fmt.Errorf("build image %s: %w", tag, err)
	}
	defer res.Body.Close()
	if err := outcome(res.Body); err != nil {
		return fmt.Errorf("build image %s: %w", tag, err)
	}
	return nil
}

func compile(ctx context.Context, dir string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "app")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile %s: %w\n%s", dir, err, said)
	}
	return os.ReadFile(out)
}

func pack(files map[string][]byte) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	return &buf, w.Close()
}

// outcome reads the build's messages; a build that ends in an error answers 200.
func outcome(r io.Reader) error {
	for dec := json.NewDecoder(r); ; {
		var message struct{ Error string }
		err := dec.Decode(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if message.Error != "" {
			return errors.New(message.Error)
		}
	}
}
