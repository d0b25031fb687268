package job

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"time"

	"gesalp.example/stack/internal/synth"
)

// Make makes the job's rows as CSV and calls progress after each chunk with the
// rows made so far. The same job and model give the same bytes.
func Make(ctx context.Context, j Job, m synth.Model, progress func(made int)) ([]byte, error) {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	if err := out.Write(m.Header()); err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	g := m.Generator(j.Seed)
	for made := 0; made < j.Rows; {
		for range min(j.Chunk, j.Rows-made) {
			if err := out.Write(g.Row()); err != nil {
				return nil, fmt.Errorf("write row: %w", err)
			}
			made++
		}
		if err := pause(ctx, j.Pace); err != nil {
			return nil, err
		}
		progress(made)
	}
	out.Flush()
	return b.Bytes(), out.Error()
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
