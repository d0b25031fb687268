package proxy

import (
	_ "embed"
	"encoding/json"
	"html"
	"mime"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// page is the built-in page of a maintenance, with a place for the message.
//
//go:embed page.html
var page string

const place = "{message}"

func pageOf(m steady.Maintenance) []byte {
	if m.Page != "" {
		return []byte(m.Page)
	}
	return []byte(strings.Replace(page, place, html.EscapeString(messageOf(m)), 1))
}

func messageOf(m steady.Maintenance) string {
	if m.Message == "" {
		return steady.DefaultMaintenanceSay
	}
	return m.Message
}

func jsonOf(m steady.Maintenance, seconds int64) []byte {
	b, err := json.Marshal(struct {
		Error      string `json:"error"`
		Message    string `json:"message"`
		RetryAfter int64  `json:"retry_after"` // seconds
	}{"maintenance", messageOf(m), seconds})
	if err != nil { // of strings and a number
		return []byte(`{"error":"maintenance"}`)
	}
	return append(b, '\n')
}

// weight is how much a client wants one kind of answer: by quality, then by how
// exactly it was named (RFC 9110, 12.5.1).
type weight struct {
	quality float64
	exact   int
}

func (w weight) above(o weight) bool {
	if w.quality != o.quality {
		return w.quality > o.quality
	}
	return w.exact > o.exact
}

// prefersJSON says whether JSON is asked for rather than a page, by the fields of
// Accept. Whoever does not care, or does not say, gets the page.
func prefersJSON(accept []string) bool {
	var asJSON, asPage weight
	for _, part := range strings.Split(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, err := strconv.ParseFloat(params["q"], 64); err == nil {
			quality = q
		}
		switch {
		case kind == "*/*":
			asJSON.take(weight{quality, 1})
			asPage.take(weight{quality, 1})
		case kind == "application/*":
			asJSON.take(weight{quality, 2})
		case kind == "application/json", strings.HasSuffix(kind, "+json"):
			asJSON.take(weight{quality, 3})
		case kind == "text/*":
			asPage.take(weight{quality, 2})
		case kind == "text/html", kind == "application/xhtml+xml":
			asPage.take(weight{quality, 3})
		}
	}
	return asJSON.above(asPage) && asJSON.quality > 0
}

// take keeps the most exact of what names a kind: it alone counts.
func (w *weight) take(o weight) {
	if o.exact > w.exact || o.exact == w.exact && o.quality > w.quality {
		*w = o
	}
}
