package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// ask gets the URL until it answers 200, and gives the release that answered.
func ask(ctx context.Context, url string) (string, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		err := context.Cause(ctx)
		req, rerr := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if rerr != nil {
			return "", rerr
		}
		res, rerr := client.Do(req)
		if rerr == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return res.Header.Get("X-Release"), nil
			}
			rerr = fmt.Errorf("status %s", res.Status)
		}
		if err != nil {
			return "", fmt.Errorf("%w, last: %w", err, rerr)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", rerr
		}
	}
}

func docker(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
}
