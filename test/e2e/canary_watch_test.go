package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// A canary that fails more than the old release goes back at once, also where nobody
// dies, and in the step with the smallest share.
func TestCanary_OneThatFailsMoreGoesBackAtOnce(t *testing.T) {
	h := swiftHost(t, "hcanary-worse")
	small(h, "      canary: { steps: [10%, 50%], every: 20s }\n")
	h.faulty("0", "0s")
	h.deploy(1)
	l := h.visitors()
	h.eventually("release 1 has served for a while", func() bool { return l.Counts().OK > 3*watchRate })
	h.faulty("0.3", "0s")
	h.env["GESALP_RELEASE"] = fmt.Sprint(2)
	r := h.steady("deploy", "-y", "--progress", "plain")
	t.Logf("%s%s", r.err, r.out)
	if r.code != 4 || !strings.Contains(r.err, "step 1 of 2, 10 %") || strings.Contains(r.err, "step 2 of 2") {
		t.Errorf("exit %d", r.code)
	}
	h.serves(1)
	bad := seen(l.Stop(), 2)
	t.Logf("%d of %d answers of release 2 were bad", bad.bad, bad.answers)
}
