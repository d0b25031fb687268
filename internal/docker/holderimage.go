package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// holderRepository holds the images of holders, one tag for each content there ever
// was.
const holderRepository = "steady/holder"

// holderTag is how many digits of its content's hash an image's tag has.
const holderTag = 12

// holderImage is an image that we make ourselves: the program and nothing else. Its
// name tells its content, so that another version of ours makes another image and
// leaves the holders that run alone.
type holderImage struct {
	ref     string
	archive []byte // as `docker save` writes it; the same bytes for the same content
}

func newHolderImage(arch string) (holderImage, error) {
	exe, err := program(arch)
	if err != nil {
		return holderImage{}, err
	}
	layer, err := packed(file{"holder", 0o755, exe})
	if err != nil {
		return holderImage{}, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": arch, "os": "linux", "created": "1970-01-01T00:00:00Z",
		"config": map[string]any{"Entrypoint": []string{"/holder"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hexSum(layer)}},
	})
	if err != nil {
		return holderImage{}, err
	}
	id := hexSum(config)
	ref := holderRepository + ":" + id[:holderTag]
	manifest, err := json.Marshal([]any{map[string]any{
		"Config": id + ".json", "RepoTags": []string{ref}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return holderImage{}, err
	}
	all, err := packed(file{id + ".json", 0o644, config}, file{"layer.tar", 0o644, layer}, file{"manifest.json", 0o644, manifest})
	return holderImage{ref: ref, archive: all}, err
}

// file is an entry of an archive.
type file struct {
	name    string
	mode    int64
	content []byte
}

func packed(files ...file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content)), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = w.Write(f.content)
		}
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	return out.Bytes(), w.Close()
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// holderImage makes sure that the Engine has the image for its architecture, and
// gives its name.
func (e *Engine) holderImage(ctx context.Context) (string, error) {
	v, err := e.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", e.fail("ask for the Engine's architecture", err)
	}
	img, err := newHolderImage(v.Arch)
	if err != nil {
		return "", err
	}
	if _, err := e.Image(ctx, img.ref); !errors.Is(err, steady.ErrNoImage) {
		return img.ref, err
	}
	got, err := e.api.ImageLoad(ctx, bytes.NewReader(img.archive), client.ImageLoadWithQuiet(true))
	if err != nil {
		return "", e.fail("load the holder's image", err)
	}
	defer got.Close()
	said, err := io.ReadAll(got)
	if err != nil {
		return "", e.fail("load the holder's image", err)
	}
	if _, err := e.Image(ctx, img.ref); err != nil {
		return "", fmt.Errorf("load the holder's image: %w; the Engine said %q", err, said)
	}
	return img.ref, nil
}

// dropHolderImage removes a holder's image unless others use it. It is a few hundred
// bytes and made anew when it is wanted, so nothing depends on it.
func (e *Engine) dropHolderImage(ctx context.Context, ref string) {
	if _, err := e.api.ImageRemove(ctx, ref, client.ImageRemoveOptions{PruneChildren: true}); err != nil {
		e.log.Debug("the holder's image stays", "image", ref, "err", err)
	}
}
