package e2e

import (
	"os"
	"strconv"
	"testing"
)

// rollouts is how many rollouts a test makes: few where it is one of many, and as
// many as STEADY_E2E_ROLLOUTS says where somebody wants to know, as in make soak.
func rollouts(t *testing.T, few int) int {
	t.Helper()
	said := os.Getenv("STEADY_E2E_ROLLOUTS")
	if said == "" {
		return few
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < 1 {
		t.Fatalf("STEADY_E2E_ROLLOUTS=%s: want a number of rollouts", said)
	}
	return n
}
