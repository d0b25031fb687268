package metrics

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

// told is every metric of ours that the registry tells, with its labels.
func told(t *testing.T) map[string][]string {
	t.Helper()
	m := of(full)
	m.Rollout(steady.Rollout{Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutDone})
	m.Notification("delivered")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "steady_") {
			continue
		}
		labels := []string{"le"}
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		out[f.GetName()] = labels
	}
	return out
}

func document(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	metricName = regexp.MustCompile(`\bsteady_[a-z0-9_]+`)
	series     = regexp.MustCompile(`\b(steady_[a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*\\?"`)
)

// unsuffixed is the metric that a series belongs to.
func unsuffixed(name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && strings.HasSuffix(base, "_seconds") {
			return base
		}
	}
	return name
}

func TestDocs_NameOnlyMetricsAndLabelsThatThereAre(t *testing.T) {
	known := told(t)
	for _, name := range []string{"grafana.json", "alerts.yml", "prometheus.yml", "monitoring.md"} {
		text := document(t, name)
		for _, used := range metricName.FindAllString(text, -1) {
			if _, ok := known[unsuffixed(used)]; !ok {
				t.Errorf("docs/%s: there is no metric %s", name, used)
			}
		}
		for _, s := range series.FindAllStringSubmatch(text, -1) {
			for _, l := range matcher.FindAllStringSubmatch(s[2], -1) {
				if !slices.Contains(known[unsuffixed(s[1])], l[1]) {
					t.Errorf("docs/%s: %s has no label %s", name, s[1], l[1])
				}
			}
		}
	}
}

func TestDocs_MonitoringListsEveryMetric(t *testing.T) {
	text := document(t, "monitoring.md")
	for name := range told(t) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/monitoring.md does not list %s", name)
		}
	}
}

func TestDocs_EveryPanelOfTheDashboardAsksSomething(t *testing.T) {
	var d struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(document(t, "grafana.json")), &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			if !metricName.MatchString(target.Expr) || strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("panel %q: %s", p.Title, target.Expr)
			}
		}
	}
	if len(d.Panels) < 15 {
		t.Errorf("only %d panels", len(d.Panels))
	}
}
