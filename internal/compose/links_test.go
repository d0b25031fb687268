package compose_test

import (
	"strings"
	"testing"

	"gesalpai.ch/steady/internal/compose"
)

func TestLinks_AHostnameThatIsANameLeadsToTheHolder(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `
name: shop
services:
  web: { image: x, networks: [default, back] }
  db: { image: y, hostname: db, networks: [back] }
  api: { image: y, hostname: box7 }
  alone: { image: z }
networks: { back: {} }
`})
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Specs {
		for _, n := range s.Networks {
			linked := strings.Contains(string(n.Endpoint), `"shop-db-steady:db"`)
			if want := s.Service == "web" && n.Key == "back"; linked != want {
				t.Errorf("%s in %s: linked %t, want %t: %s", s.Service, n.Key, linked, want, n.Endpoint)
			}
			if strings.Contains(string(n.Endpoint), "box7") {
				t.Errorf("a link for a hostname that is no name: %s", n.Endpoint)
			}
		}
	}
}

// The Engine's side of it is docker's TestHold_ComposesContainerNamesAndLinksLeadToIt:
// the holder has the names that these links lead to.
func TestLinks_LeadToTheNamesOfComposesContainers(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `
name: shop
services:
  web: { image: x, links: ["api:backend"], external_links: ["other-db-1:db"] }
  api: { image: y }
`})
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Specs {
		if s.Service != "web" {
			continue
		}
		for _, want := range []string{`"shop-api-1:backend"`, `"shop-api-1:api-1"`, `"shop-api-1:shop-api-1"`, `"other-db-1:db"`} {
			if got := string(s.Networks[0].Endpoint); !strings.Contains(got, want) {
				t.Errorf("no link %s in %s", want, got)
			}
		}
	}
}
