package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gesalp.example/stack/internal/synth"
)

// Ollama is a language model server.
type Ollama struct {
	URL   string // "http://ollama:11434"; empty: none
	Model string
}

// Summary has the model say a sentence about the table, of whose columns it is
// told no more than the names and kinds. A report does without when there is no answer
// within two seconds.
func (o Ollama) Summary(ctx context.Context, m synth.Model) string {
	if o.URL == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	columns := make([]string, len(m.Columns))
	for i, c := range m.Columns {
		columns[i] = fmt.Sprintf("%s (%s)", c.Name, c.Kind)
	}
	ask, err := json.Marshal(map[string]any{
		"model": o.Model, "stream": false,
		"prompt": "Say in one sentence what a table with these columns is about: " + strings.Join(columns, ", "),
	})
	if err != nil {
		return ""
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL+"/api/generate", bytes.NewReader(ask))
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var answer struct {
		Response string `json:"response"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return ""
	}
	return answer.Response
}
