package ollama_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gesalp.example/stack/internal/ollama"
)

func TestLoad_TakesItsTimeAndKeepsTheModel(t *testing.T) {
	dir := t.TempDir()
	const takes = 100 * time.Millisecond
	began := time.Now()
	first, err := ollama.Load(t.Context(), dir, "m", takes)
	if err != nil || time.Since(began) < takes*9/10 {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	second, err := ollama.Load(t.Context(), dir, "m", 0)
	if err != nil || second != first || first.Size == 0 {
		t.Errorf("loaded %+v, %v; first was %+v", second, err, first)
	}
}

func TestLoad_StopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ollama.Load(ctx, t.TempDir(), "m", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestServer_GenerateStreamsOneObjectPerLine(t *testing.T) {
	server := httptest.NewServer((&ollama.Server{Model: ollama.Model{Name: "m"}}).Routes())
	defer server.Close()
	for name, c := range map[string]struct {
		ask   string
		lines int
	}{
		"stream": {`{"model":"m","prompt":"cats and dogs"}`, 7},
		"whole":  {`{"model":"m","prompt":"cats and dogs","stream":false}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := http.Post(server.URL+"/api/generate", "application/json", strings.NewReader(c.ask))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, done, lines := "", 0, 0
			for in := bufio.NewScanner(resp.Body); in.Scan(); lines++ {
				var line struct {
					Response string
					Done     bool
				}
				if err := json.Unmarshal(in.Bytes(), &line); err != nil {
					t.Fatal(err)
				}
				text += line.Response
				if line.Done {
					done++
				}
			}
			if text != "This is about cats and dogs" || done != 1 || lines != c.lines {
				t.Errorf("%q in %d lines, %d of them last", text, lines, done)
			}
		})
	}
}

func TestServer_TagsAndUnknownModel(t *testing.T) {
	server := httptest.NewServer((&ollama.Server{Model: ollama.Model{Name: "m"}}).Routes())
	defer server.Close()
	resp, err := http.Get(server.URL + "/api/tags")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var tags struct{ Models []struct{ Name string } }
	if err := json.NewDecoder(resp.Body).Decode(&tags); err != nil || len(tags.Models) != 1 || tags.Models[0].Name != "m" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	resp, err = http.Post(server.URL+"/api/generate", "application/json", strings.NewReader(`{"model":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown model: %s", resp.Status)
	}
}
