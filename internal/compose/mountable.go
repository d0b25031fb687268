package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"gesalpai.ch/steady"
)

// mountable refuses what Compose leaves to the Engine, which would refuse it in the
// middle of a rollout: an image that is no reference, a config or secret whose file
// is not there.
func mountable(model *types.Project) error {
	at := placesOf(model.ComposeFiles)
	for _, name := range sortedKeys(model.Services) {
		s := model.Services[name]
		if err := imageOf(model, at, s); err != nil {
			return err
		}
		for _, c := range s.Configs {
			if err := fileOf(at, name, "configs", c.Source, types.FileObjectConfig(model.Configs[c.Source])); err != nil {
				return err
			}
		}
		for _, c := range s.Secrets {
			if err := fileOf(at, name, "secrets", c.Source, types.FileObjectConfig(model.Secrets[c.Source])); err != nil {
				return err
			}
		}
	}
	return nil
}

func imageOf(model *types.Project, at *places, s types.ServiceConfig) error {
	if s.Image == "" {
		return nil
	}
	if _, err := reference.ParseAnyReference(s.Image); err == nil {
		return nil
	}
	path := "services." + s.Name + ".image"
	text, hint := fmt.Sprintf("%s: %q is no image reference", path, s.Image), "write it as name:tag"
	if unset := at.unset(path, model.Environment); len(unset) > 0 {
		text, hint = text+"; "+notSet(unset), hintUnset(unset)
	}
	if place := at.nearest(path); place != "" {
		text = place + ": " + text
	}
	return steady.ErrCompose.With(text, hint)
}

func fileOf(at *places, service, kind, source string, o types.FileObjectConfig) error {
	if o.File == "" {
		return nil
	}
	if _, err := os.Stat(o.File); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	path := kind + "." + source
	text := fmt.Sprintf("%s.file: %s is not there; service %s mounts it", path, o.File, service)
	if place := at.nearest(path + ".file"); place != "" {
		text = place + ": " + text
	}
	return steady.ErrCompose.With(text, "create the file, or see that the path is right; relative ones start at the Compose file's directory")
}
