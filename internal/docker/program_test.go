package docker

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestProgram_IsWhatTheAssemblerMakes(t *testing.T) {
	for arch, p := range programs {
		object := filepath.Join(t.TempDir(), arch+".o")
		asm := exec.Command("go", "tool", "asm", "-p", "program", "-o", object, "testdata/program/program_"+arch+".s")
		asm.Env = append(os.Environ(), "GOARCH="+arch)
		if out, err := asm.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", arch, err, out)
		}
		made, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(made, p.code) {
			t.Errorf("%s: the bytes are not those of the listing", arch)
		}
	}
}

func TestProgram_IsAStaticExecutableOfOneSegment(t *testing.T) {
	for arch, p := range programs {
		exe, err := program(arch)
		if err != nil {
			t.Fatal(err)
		}
		f, err := elf.NewFile(bytes.NewReader(exe))
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != elf.ET_EXEC || f.Machine != p.machine || len(f.Progs) != 2 || f.Progs[0].Type != elf.PT_LOAD {
			t.Fatalf("%s: %v %v %v", arch, f.Type, f.Machine, f.Progs)
		}
		load, stack := f.Progs[0], f.Progs[1]
		if load.Filesz != uint64(len(exe)) || !bytes.Equal(exe[f.Entry-load.Vaddr:], p.code) {
			t.Errorf("%s: it does not begin with the code", arch)
		}
		if load.Flags != elf.PF_R|elf.PF_X || stack.Type != elf.PT_GNU_STACK || stack.Flags&elf.PF_X != 0 {
			t.Errorf("%s: segments %v", arch, f.Progs)
		}
		if len(exe) > 512 {
			t.Errorf("%s: %d bytes", arch, len(exe))
		}
	}
}

func TestProgram_ExitsWhenToldTo(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		exe, err := program(runtime.GOARCH)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "holder")
		if err := os.WriteFile(path, exe, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			state byte
			then  os.Signal
		}{{'S', syscall.SIGSTOP}, {'T', syscall.SIGCONT}, {'S', sig}} {
			until(t, cmd.Process.Pid, step.state)
			if err := cmd.Process.Signal(step.then); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

// until waits until a process is in a state: S where it waits for its signal.
func until(t *testing.T, pid int, state byte) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			t.Fatal(err)
		}
		if _, after, _ := bytes.Cut(b, []byte(") ")); len(after) > 0 && after[0] == state {
			return
		}
	}
	t.Fatalf("process %d did not come to state %c", pid, state)
}

func TestProgram_OtherArchitecturesAreUnsupported(t *testing.T) {
	_, err := program("s390x")
	var e *steady.Error
	if !errors.Is(err, steady.ErrUnsupported) || !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("error %v", err)
	}
}

func TestHolderImage_IsNamedByItsContent(t *testing.T) {
	refs := map[string]bool{}
	for arch := range programs {
		one, err := newHolderImage(arch)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := newHolderImage(arch)
		if one.ref != two.ref || !bytes.Equal(one.archive, two.archive) {
			t.Errorf("%s: the same content gave %s and %s", arch, one.ref, two.ref)
		}
		refs[one.ref] = true
	}
	if len(refs) != len(programs) {
		t.Errorf("names %v", refs)
	}
}
