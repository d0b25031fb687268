package listen

import (
	"context"
	"errors"
	"net/netip"
)

// Forward spreads UDP flows over the replicas.
func Forward(ctx context.Context, pid int, to map[netip.Addr][]netip.Addr) error {
	return errors.ErrUnsupported
}
