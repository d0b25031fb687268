package compose

import (
	"strings"
	"testing"

	"github.com/moby/moby/client"
)

func TestOffline_SaysWhatItWasAskedAndCannotAnswer(t *testing.T) {
	c, err := newOffline().client()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.ContainerStart(t.Context(), "x", client.ContainerStartOptions{})
	if err == nil || !strings.Contains(err.Error(), "POST /containers/x/start") {
		t.Errorf("error is %v", err)
	}
	_, err = c.Info(t.Context(), client.InfoOptions{})
	if err == nil || !strings.Contains(err.Error(), "GET /info") {
		t.Errorf("error is %v", err)
	}
}
