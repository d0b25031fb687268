package report_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/ollama"
	"gesalp.example/stack/internal/queue/queuetest"
	"gesalp.example/stack/internal/report"
	"gesalp.example/stack/internal/synth"
)

const table = "age,city,<b>name\n31,Bern,a\n42,Basel,b\n53,Bern,<script>\n"

func serve(t *testing.T, jobs report.Jobs) *httptest.Server {
	t.Helper()
	s := &report.Server{Jobs: jobs, Release: "7", Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewServer(s.Routes(http.NotFoundHandler()))
	t.Cleanup(server.Close)
	return server
}

func post(t *testing.T, url, kind, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(url, kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServer_ReportOfTableIsWholeAndEscaped(t *testing.T) {
	status, page := post(t, serve(t, nil).URL+"/reports", "text/csv", table)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, page)
	}
	for _, want := range []string{"<!doctype html>", "3 real rows, 3 synthetic", "number from 31 to 53", "2 categories", `class="made"`, "&lt;b&gt;name", "</html>"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "http://") {
		t.Error("the page has a script, or needs something else")
	}
}

func TestServer_ReportOfJobWaitsForItsEnd(t *testing.T) {
	q := queuetest.Start(t).Open("report")
	m, err := synth.Learn(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	j, err := job.New(50, 3, 50, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := q.Submit(ctx, j, m); err != nil {
		t.Fatal(err)
	}
	server := serve(t, q)
	ask := `{"job":"` + j.ID + `"}`
	if status, _ := post(t, server.URL+"/reports", "application/json", ask); status != http.StatusConflict {
		t.Errorf("before the end: %d, want 409", status)
	}
	finish(t, q, m)
	status, page := post(t, server.URL+"/reports", "application/json", ask)
	if status != http.StatusOK || !strings.Contains(page, "3 real rows, 50 synthetic") {
		t.Errorf("%d\n%s", status, page)
	}
}

func finish(t *testing.T, q *job.Queue, m synth.Model) {
	t.Helper()
	d, err := q.Take(5*time.Second, "w", "7")
	if err != nil || d == nil {
		t.Fatalf("took %v, %v", d, err)
	}
	rows, err := job.Make(t.Context(), d.Job, m, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Finish(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
}

func TestServer_RefusesWhatCannotBeReported(t *testing.T) {
	url := serve(t, queuetest.Start(t).Open("report")).URL + "/reports"
	for name, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"unknown job": {"application/json", `{"job":"NONE"}`, 404},
		"no JSON":     {"application/json", `job`, 400},
		"no table":    {"text/csv", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := post(t, url, c.kind, c.body); status != c.status {
				t.Errorf("%d %s, want %d", status, body, c.status)
			}
		})
	}
}

func TestOllama_SummaryComesFromTheModelOrNotAtAll(t *testing.T) {
	model := &ollama.Server{Model: ollama.Model{Name: "m"}}
	server := httptest.NewServer(model.Routes())
	defer server.Close()
	table := synth.Model{Columns: []synth.Column{{Name: "age", Kind: synth.Number}}}
	got := report.Ollama{URL: server.URL, Model: "m"}.Summary(t.Context(), table)
	if got != "This is about age (number)" {
		t.Errorf("summary %q", got)
	}
	for _, o := range []report.Ollama{{}, {URL: server.URL, Model: "other"}, {URL: "http://127.0.0.1:1", Model: "m"}} {
		if got := o.Summary(t.Context(), table); got != "" {
			t.Errorf("%+v: summary %q", o, got)
		}
	}
}
