package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// receiptPage opens the latest rollout's page in a real browser.
func receiptPage(t *testing.T, h *host) {
	t.Helper()
	page := filepath.Join(t.TempDir(), "receipt.html")
	if r := h.steady("receipt", "--html", page); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.err)
	}
	browser := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+page)
	dom, err := browser.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	for _, want := range []string{"<h1>" + h.project + ", rollout 4</h1>", "0 lost", `role="img"`, "to 4", "release 4, new"} {
		if !strings.Contains(string(dom), want) {
			t.Errorf("the page in the browser lacks %q", want)
		}
	}
}
