package docker

import (
	"context"

	"github.com/moby/moby/client"
)

// hostMemory is what the Engine's host has in all, in bytes. It is asked once: 0, not
// known, is no reason to fail what only wants to know whether there is room.
func (e *Engine) hostMemory(ctx context.Context) int64 {
	e.mu.Lock()
	known := e.total
	e.mu.Unlock()
	if known > 0 {
		return known
	}
	info, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		e.log.Debug("ask for the host's memory", "err", err)
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total = info.Info.MemTotal
	return e.total
}
