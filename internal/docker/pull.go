package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"gesalpai.ch/steady"
)

// pullPace is how often the sum of what has come is told.
const pullPace = time.Second

// Pull brings spec.Image, with the credentials that `docker login` keeps;
// steady.ErrNoImage when no registry has it or gives it.
func (e *Engine) Pull(ctx context.Context, spec steady.Spec, say func(string)) (steady.Image, error) {
	ref, err := reference.ParseNormalizedNamed(spec.Image)
	if err != nil {
		return steady.Image{}, steady.ErrNoImage.With(fmt.Sprintf("image %q is no reference: %v", spec.Image, err), "docker compose config --images")
	}
	auth, err := e.authFor(ref)
	if err != nil {
		return steady.Image{}, err
	}
	platform, err := platformOf(spec.Platform)
	if err != nil {
		return steady.Image{}, err
	}
	o := client.ImagePullOptions{RegistryAuth: auth}
	if platform != nil {
		o.Platforms = []ocispec.Platform{*platform}
	}
	if err := e.pull(ctx, spec.Image, o, say); err != nil {
		return steady.Image{}, e.pullFailed(ctx, spec.Image, err)
	}
	return e.Image(ctx, spec.Image)
}

func (e *Engine) pull(ctx context.Context, ref string, o client.ImagePullOptions, say func(string)) error {
	got, err := e.api.ImagePull(ctx, ref, o)
	if err != nil {
		return err
	}
	defer got.Close()
	p := progress{say: say, layers: map[string]jsonstream.Progress{}}
	for m, err := range got.JSONMessages(ctx) {
		if err != nil {
			return err
		}
		if m.Error != nil {
			return m.Error
		}
		p.take(m, time.Now())
	}
	return nil
}

func (e *Engine) pullFailed(ctx context.Context, ref string, err error) error {
	if ctx.Err() != nil || client.IsErrConnectionFailed(err) {
		return e.fail("pull image "+ref, err)
	}
	text := fmt.Sprintf("image %s is not on this machine and pulling it says: %v", ref, err)
	if _, here := e.Image(ctx, ref); here == nil {
		text = fmt.Sprintf("image %s is on this machine, but pulling it anew says: %v", ref, err)
	}
	return steady.ErrNoImage.With(text, "docker pull "+ref)
}

// progress makes few lines of the many messages of a pull: those without a layer
// as they are, and the sum over the layers once a second.
type progress struct {
	say    func(string)
	layers map[string]jsonstream.Progress
	told   time.Time
}

func (p *progress) take(m jsonstream.Message, now time.Time) {
	switch {
	case m.ID == "" || strings.HasPrefix(m.Status, "Pulling from"):
		if m.Status != "" {
			p.say(m.Status)
		}
	case m.Status == "Downloading" && m.Progress != nil:
		p.layers[m.ID] = *m.Progress
		if now.Sub(p.told) >= pullPace {
			p.told = now
			p.say(p.sum())
		}
	}
}

func (p *progress) sum() string {
	var current, total int64
	for _, l := range p.layers {
		current, total = current+l.Current, total+l.Total
	}
	const mb = 1e6
	return fmt.Sprintf("downloaded %.1f of %.1f MB", float64(current)/mb, float64(total)/mb)
}
