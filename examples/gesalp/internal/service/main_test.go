package service_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"gesalp.example/stack/internal/service"
)

// TestMain lets the test binary be a service, so that its exit codes and signals
// can be seen from outside.
func TestMain(m *testing.M) {
	if addr := os.Getenv("SERVICE_TEST_ADDR"); addr != "" {
		os.Exit(service.Main(addr, func(ctx context.Context, env service.Env) error {
			return env.Service.Run(ctx, http.NotFoundHandler())
		}))
	}
	os.Exit(m.Run())
}

func TestMain_ExitAtStartPrintsTwoLinesAndExitsThree(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SERVICE_TEST_ADDR=127.0.0.1:0", "EXIT_AT_START=1")
	out, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 3 || strings.Count(string(out), "\n") != 2 {
		t.Errorf("exit code %d, output %q", code, out)
	}
}

func TestMain_RefusesStartDelayThatIsNone(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SERVICE_TEST_ADDR=127.0.0.1:0", "START_DELAY=soon")
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
}

func TestMain_SIGTERMEndsWithZero(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SERVICE_TEST_ADDR=127.0.0.1:0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := log.Read(first); err != nil { // it says when it listens
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestHealth_FollowsReadinessAndFault(t *testing.T) {
	for _, c := range []struct {
		fault string
		ready bool
		want  int
	}{{"", true, 200}, {"0", true, 200}, {"", false, 503}, {"1", true, 503}} {
		env := service.Env{Lookup: func(string) string { return c.fault }}
		w := httptest.NewRecorder()
		env.Health(func() bool { return c.ready })(w, httptest.NewRequest(http.MethodGet, "/health", nil))
		if w.Code != c.want {
			t.Errorf("FAIL_HEALTH=%q, ready %v: %d, want %d", c.fault, c.ready, w.Code, c.want)
		}
	}
}
