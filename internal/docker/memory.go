package docker

import (
	"context"

	"github.com/moby/moby/client"
)

// hostMemory tells how much memory the Engine's host has, in bytes. It is asked
// once.
func (e *Engine) hostMemory(ctx context.Context) (int64, error) {
	e.mu.Lock()
	known := e.ram
	e.mu.Unlock()
	if known > 0 {
		return known, nil
	}
	got, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return 0, e.fail("ask the Engine about its host", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ram = got.Info.MemTotal
	return e.ram, nil
}
