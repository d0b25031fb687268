package steady_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "gesalpai.ch/steady"

// mayImport is the table "Who may import whom" of the architecture: packages of
// ours by directory, and which others of ours each may import. "." is the root.
var mayImport = map[string][]string{
	".":                           {},
	"internal/plan":               {"."},
	"internal/check":              {"."},
	"internal/doctor":             {"."},
	"internal/compose":            {"."},
	"internal/mask":               {"."},
	"internal/docker":             {".", "internal/mask"}, // what the Engine says of a container quotes its command
	"internal/store":              {"."},
	"internal/probe":              {".", "internal/listen"}, // what listens in a container's network namespace
	"internal/api":                {"."},
	"internal/web":                {"."},
	"internal/nginx":              {"."},
	"internal/metrics":            {"."},
	"internal/drill":              {}, // the load that a drill fires, and test/load's too
	"internal/notify":             {"."},
	"internal/listen":             {},
	"internal/process":            {"."},
	"internal/command":            {"."}, // a command's name for a person
	"internal/proxy":              {".", "internal/probe", "internal/listen", "internal/process"},
	"internal/rollout":            {".", "internal/plan"},
	"internal/cli":                {".", "internal/api", "internal/compose", "internal/check", "internal/daemon", "internal/proxy", "internal/drill", "internal/web"},
	"cmd/steady":                  {"internal/cli"},
	"internal/daemon":             nil,                       // all but cli: see allowed
	"internal/docker/runtimetest": {".", "internal/rollout"}, // the suite that the fake and the real Runtime both pass
}

// pure packages do no I/O, start no goroutine and wait for nothing.
var (
	pure       = []string{".", "internal/plan", "internal/check"}
	notInPure  = []string{"os", "net", "net/http", "os/exec", "os/signal", "log/slog", "sync", "sync/atomic", "context", "syscall", "io/ioutil"}
	nowhere    = []string{"log", "io/ioutil"} // slog is injected
	printers   = []string{"internal/cli", "cmd/steady"}
	badNames   = []string{"utils", "util", "common", "helpers", "helper", "types", "constants", "misc", "base"}
	dropIdle   = []string{"Shutdown", "SetKeepAlivesEnabled"}
	halfClose  = []string{"unix", "syscall"} // their Shutdown is that of a socket
	announces  = []string{"h3"}              // HTTP/3's Shutdown says GOAWAY first and waits: it is the announcement
	standardIO = []string{"Stdout", "Stderr"}
)

// onlyIn says which packages may import a module of others, by prefix of the import
// path. The longest prefix that fits decides.
var onlyIn = map[string][]string{
	"github.com/docker/compose":          {"internal/compose"},
	"github.com/compose-spec/compose-go": {"internal/compose"},
	// The Compose SDK is handed a client.APIClient that records and sends nothing; its
	// type is the Engine client's. What talks to an Engine is docker alone.
	"github.com/moby/moby/client":      {"internal/docker", "internal/compose"},
	"github.com/docker/cli":            {"internal/compose"},
	"github.com/docker/cli/cli/config": {"internal/compose", "internal/docker"}, // who may pull from a registry
	"github.com/moby/buildkit":         {"internal/docker"},
	"github.com/docker/docker":         {}, // superseded by moby/moby
	"modernc.org/sqlite":               {"internal/store"},
	"github.com/spf13/cobra":           {"internal/cli"},
	"github.com/caddyserver/certmagic": {"internal/listen"},
	"github.com/quic-go/quic-go":       {"internal/listen"},
	"go.uber.org/zap":                  {"internal/listen"}, // certmagic wants one of its loggers
	"mvdan.cc/sh":                      {"internal/check"},
	"github.com/letsencrypt/pebble":    {}, // tests only
	"github.com/mholt/acmez":           {}, // tests only: listen has certmagic
	"github.com/prometheus":            {"internal/metrics"},
}

// file is one Go file that is built into the binary.
type file struct {
	dir  string // package, by directory from the root
	name string
	ast  *ast.File
	fset *token.FileSet
}

// files parses every Go file of the module but tests and the packages of test/.
func files(t *testing.T) []file {
	t.Helper()
	var out []file
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return into(p)
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		out = append(out, file{dir: path.Dir(filepath.ToSlash(p)), name: p, ast: parsed, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d files found: the rules would hold of nothing", len(out))
	}
	return out
}

// into skips what is no package of the binary: test/, testdata, hidden directories
// and modules of their own, such as the examples.
func into(dir string) error {
	base := filepath.Base(dir)
	if dir == "." {
		return nil
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	if err == nil || dir == "test" || base == "testdata" || base[0] == '.' || base[0] == '_' {
		return filepath.SkipDir
	}
	return nil
}

func (f file) imports() []string {
	var out []string
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			out = append(out, p)
		}
	}
	return out
}

// at is a place in the file, for a message.
func (f file) at(n ast.Node) string { return f.fset.Position(n.Pos()).String() }

// ours is an import path's directory in this module.
func ours(importPath string) (dir string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func allowed(from, to string) bool {
	if from == "internal/daemon" {
		return to != "internal/cli" && !strings.HasPrefix(to, "cmd/")
	}
	return slices.Contains(mayImport[from], to)
}

func TestImports_FollowTheTable(t *testing.T) {
	for _, f := range files(t) {
		if _, ok := mayImport[f.dir]; !ok {
			t.Errorf("%s: package %s is not in the table of who may import whom", f.name, f.dir)
			continue
		}
		for _, p := range f.imports() {
			if to, ok := ours(p); ok && !allowed(f.dir, to) {
				t.Errorf("%s: %s may not import %s", f.name, f.dir, to)
			}
		}
	}
}

func TestImports_PurePackagesDoNoIO(t *testing.T) {
	for _, f := range files(t) {
		for _, p := range f.imports() {
			if slices.Contains(pure, f.dir) && slices.Contains(notInPure, p) {
				t.Errorf("%s: %s is pure and may not import %s", f.name, f.dir, p)
			}
			if slices.Contains(nowhere, p) {
				t.Errorf("%s: nobody imports %s", f.name, p)
			}
		}
	}
}

func TestImports_OthersModulesStayInTheirRoom(t *testing.T) {
	for _, f := range files(t) {
		for _, p := range f.imports() {
			module, rooms := room(p)
			if module != "" && !slices.Contains(rooms, f.dir) {
				t.Errorf("%s: %s may not import %s; only %v may", f.name, f.dir, p, rooms)
			}
		}
	}
}

// room finds the longest prefix in onlyIn that the import path has.
func room(importPath string) (module string, rooms []string) {
	for prefix := range maps.Keys(onlyIn) {
		if (importPath == prefix || strings.HasPrefix(importPath, prefix+"/")) && len(prefix) > len(module) {
			module = prefix
		}
	}
	return module, onlyIn[module]
}

func TestPrinting_IsForTheCommandLine(t *testing.T) {
	for _, f := range files(t) {
		if slices.Contains(printers, f.dir) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
					t.Errorf("%s: only cli prints", f.at(n))
				}
			}
			of, name := selected(n)
			if of == "fmt" && strings.HasPrefix(name, "Print") || of == "os" && slices.Contains(standardIO, name) {
				t.Errorf("%s: only cli prints: %s.%s", f.at(n), of, name)
			}
			return true
		})
	}
}

// selected is a selector expression's two names, of.name; of is empty where it is
// no plain name.
func selected(n ast.Node) (of, name string) {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if id, ok := sel.X.(*ast.Ident); ok {
		of = id.Name
	}
	return of, sel.Sel.Name
}

// http.Server.Shutdown and SetKeepAlivesEnabled(false) close idle connections on
// which a request may be under way, and Shutdown drops requests that were read
// (golang/go#75591).
func TestProxy_NeverClosesIdleConnectionsUnannounced(t *testing.T) {
	for _, f := range files(t) {
		if f.dir != "internal/proxy" && f.dir != "internal/listen" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			of, name := selected(n)
			if slices.Contains(dropIdle, name) && !slices.Contains(halfClose, of) && !slices.Contains(announces, of) {
				t.Errorf("%s: %s loses requests and is banned here", f.at(n), name)
			}
			return true
		})
	}
}

func TestPackages_AreNamedForWhatTheyDo(t *testing.T) {
	for _, f := range files(t) {
		if slices.Contains(badNames, f.ast.Name.Name) || slices.Contains(badNames, path.Base(f.dir)) {
			t.Errorf("%s: package %s says nothing", f.name, f.ast.Name.Name)
		}
		if want := path.Base(f.dir); f.dir != "." && f.ast.Name.Name != want && f.ast.Name.Name != "main" {
			t.Errorf("%s: package %s in directory %s", f.name, f.ast.Name.Name, want)
		}
	}
}

func TestPackages_HaveNoInit(t *testing.T) {
	for _, f := range files(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init runs whether it is wanted or not", f.at(fn))
			}
		}
	}
}
