package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/proxy"
)

// keeper holds copies of every descriptor the proxy listens on. While a proxy is
// dead the kernel goes on completing connections on them; the next proxy gets
// them at its start and accepts what has waited.
type keeper struct {
	proxy *proxy.Client

	mu     sync.Mutex
	copies []listen.Handle
}

// refresh takes the copies anew; call it when the table has changed.
func (k *keeper) refresh(ctx context.Context) error {
	hs, err := k.proxy.Listeners(ctx)
	if err != nil {
		return fmt.Errorf("copy the proxy's listeners: %w", err)
	}
	k.mu.Lock()
	old := k.copies
	k.copies = hs
	k.mu.Unlock()
	drop(old)
	return nil
}

// handles are the copies, for a proxy to be started; they stay the keeper's.
func (k *keeper) handles() []listen.Handle {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]listen.Handle(nil), k.copies...)
}

// give lends every copy to a proxy that was started without them, by systemd say.
func (k *keeper) give(ctx context.Context) error {
	var errs []error
	for _, h := range k.handles() {
		if err := k.proxy.Lend(ctx, h.Name, h.File); err != nil {
			errs = append(errs, fmt.Errorf("lend %s: %w", h.Name, err))
		}
	}
	return errors.Join(errs...)
}

// named is the copy of that name, which stays the keeper's; nil for none.
func (k *keeper) named(name string) *os.File {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.copies {
		if h.Name == name {
			return h.File
		}
	}
	return nil
}

func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	drop(k.copies)
	k.copies = nil
}

func drop(hs []listen.Handle) {
	for _, h := range hs {
		_ = h.File.Close()
	}
}
