package ollama

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Server answers for a model that is loaded.
type Server struct {
	Model Model
	Pace  time.Duration // between two words
}

// Routes gives the handler.
func (s *Server) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Ollama is running") })
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": "0.0.0-stand-in"})
	})
	mux.HandleFunc("GET /api/tags", s.tags)
	mux.HandleFunc("POST /api/generate", s.generate)
	return mux
}

func (s *Server) tags(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"models": []any{map[string]any{
		"name": s.Model.Name, "model": s.Model.Name, "modified_at": s.Model.Modified,
		"size": s.Model.Size, "digest": s.Model.Digest,
		"details": map[string]any{"format": "gguf", "family": "stand-in", "parameter_size": "0B", "quantization_level": "none"},
	}}})
}

// word is one line of an answer, with the names of Ollama's API.
type word struct {
	Model     string    `json:"model"`
	CreatedAt time.Time `json:"created_at"`
	Response  string    `json:"response"`
	Done      bool      `json:"done"`
	Reason    string    `json:"done_reason,omitempty"`
	Total     int64     `json:"total_duration,omitempty"` // nanoseconds
	Count     int       `json:"eval_count,omitempty"`
}

func (s *Server) generate(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Model  string `json:"model"`
		Prompt string `json:"prompt"`
		Stream *bool  `json:"stream"` // true when absent
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&ask); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "body is no JSON object"})
		return
	}
	if ask.Model != s.Model.Name {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": fmt.Sprintf("model %q not found", ask.Model)})
		return
	}
	began, words := time.Now(), reply(ask.Prompt)
	last := word{Model: s.Model.Name, Done: true, Reason: "stop", Count: len(words)}
	if ask.Stream != nil && !*ask.Stream {
		if sleep(r.Context(), s.Pace*time.Duration(len(words))) != nil {
			return
		}
		last.Response = strings.Join(words, "")
	} else if !s.stream(w, r, words) {
		return
	}
	last.CreatedAt, last.Total = time.Now().UTC(), int64(time.Since(began))
	_ = json.NewEncoder(w).Encode(last) // the client has left
}

// stream sends one line per word and says whether the client stayed.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, words []string) bool {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for _, text := range words {
		if sleep(r.Context(), s.Pace) != nil {
			return false
		}
		if out.Encode(word{Model: s.Model.Name, CreatedAt: time.Now().UTC(), Response: text}) != nil {
			return false
		}
		if http.NewResponseController(w).Flush() != nil {
			return false
		}
	}
	return true
}

// reply gives the words of the answer, each with the space before it.
func reply(prompt string) []string {
	_, subject, found := strings.Cut(prompt, ": ")
	if !found {
		subject = prompt
	}
	words := strings.Fields("This is about " + subject)
	for i := 1; i < len(words); i++ {
		words[i] = " " + words[i]
	}
	return words
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has left
}
