package compose

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// logrusMu lets one Load at a time listen: compose-go and the SDK warn through
// logrus's process-wide logger, and there is no other way to their warnings.
var logrusMu sync.Mutex

// heard collects the lines of that logger.
type heard struct {
	mu    sync.Mutex
	lines []string
}

// Levels are those a person should see.
func (h *heard) Levels() []logrus.Level {
	return []logrus.Level{logrus.WarnLevel, logrus.ErrorLevel}
}

// Fire keeps one line.
func (h *heard) Fire(e *logrus.Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if line := strings.TrimSpace(e.Message); !slices.Contains(h.lines, line) {
		h.lines = append(h.lines, line)
	}
	return nil
}

// listen keeps what is logged off the process's standard error until release is
// called; warn gives it.
func listen() (warn func() []string, release func()) {
	logrusMu.Lock()
	logger, h := logrus.StandardLogger(), &heard{}
	out := logger.Out
	hooks := logger.ReplaceHooks(logrus.LevelHooks{})
	logger.SetOutput(io.Discard)
	logger.AddHook(h)
	warn = func() []string {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Clone(h.lines)
	}
	return warn, func() {
		logger.ReplaceHooks(hooks)
		logger.SetOutput(out)
		logrusMu.Unlock()
	}
}

// unused names what the files ask for and steady leaves out without harm to the
// container.
func unused(model *types.Project) []string {
	var out []string
	say := func(service, attribute, why string) {
		out = append(out, fmt.Sprintf("services.%s.%s is not used: %s", service, attribute, why))
	}
	for _, name := range sortedKeys(model.Services) {
		s := model.Services[name]
		for _, p := range s.Ports {
			if strings.Contains(p.Published, "-") {
				out = append(out, fmt.Sprintf("services.%s.ports: of %s for one container port, the first is used", name, p.Published))
			}
		}
		for _, attribute := range unusedOfBuild(s.Build) {
			say(name, "build."+attribute, "the image is built without it")
		}
		if d := s.Deploy; d != nil {
			if d.Mode == "global" {
				say(name, "deploy.mode", "there is one host")
			}
		}
	}
	return out
}
