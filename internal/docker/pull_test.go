package docker_test

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// newRegistry is an empty registry on the loopback; it gives its host and port.
func newRegistry(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

func TestPull_BringsTheImageWithItsDigest(t *testing.T) {
	b := newBench(t)
	ref := newRegistry(t) + "/shop/api:1"
	if _, err := b.api.ImageTag(t.Context(), client.ImageTagOptions{Source: serveImage, Target: ref}); err != nil {
		t.Fatal(err)
	}
	drop := func() { _, _ = b.api.ImageRemove(context.Background(), ref, client.ImageRemoveOptions{Force: true}) }
	pushed, err := b.api.ImagePush(t.Context(), ref, client.ImagePushOptions{RegistryAuth: "e30="})
	if err != nil {
		t.Fatal(err)
	}
	if err := pushed.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	drop()
	t.Cleanup(drop)
	var said []string
	img, err := b.Pull(t.Context(), steady.Spec{Image: ref, Platform: "linux/amd64"}, func(s string) { said = append(said, s) })
	if err != nil {
		t.Fatal(err)
	}
	if img.Ref != ref || !strings.HasPrefix(img.ID, "sha256:") || !strings.HasPrefix(img.Digest, strings.TrimSuffix(ref, ":1")+"@sha256:") {
		t.Errorf("image %+v", img)
	}
	if len(said) == 0 {
		t.Error("nothing was said")
	}
	if img.Built.IsZero() || img.Built.After(time.Now()) {
		t.Errorf("built %s", img.Built)
	}
	drop()
	again, err := b.Pull(t.Context(), steady.Spec{Image: img.Digest}, func(string) {})
	if err != nil || again.ID != img.ID || again.Digest != img.Digest {
		t.Errorf("by its digest: %+v, %v, want %+v", again, err, img)
	}
	t.Cleanup(func() {
		_, _ = b.api.ImageRemove(context.Background(), img.Digest, client.ImageRemoveOptions{})
	})
}

func TestPull_OfWhatNobodyHasIsErrNoImage(t *testing.T) {
	b := newBench(t)
	for _, ref := range []string{newRegistry(t) + "/shop/api:1", "127.0.0.1:9/shop/api:1", "Not A Reference"} {
		_, err := b.Pull(t.Context(), steady.Spec{Image: ref}, func(string) {})
		is(t, err, steady.ErrNoImage)
		if !strings.Contains(err.Error(), ref) {
			t.Errorf("error does not name %s: %v", ref, err)
		}
	}
}
