package rollout

import (
	"maps"

	"gesalpai.ch/steady"
)

// measures are by service and release.
type measures = map[string]map[int]steady.Measure

// overlaid is what was there before with what is told now in its place.
func overlaid(before, now measures) measures {
	out := maps.Clone(now)
	if out == nil {
		out = measures{}
	}
	for service, releases := range before {
		all := maps.Clone(releases)
		maps.Copy(all, now[service])
		for n, m := range all {
			if _, told := now[service][n]; !told {
				m.Open = steady.Open{} // who has something open is told
				all[n] = m
			}
		}
		out[service] = all
	}
	return out
}

// plus adds what was counted after it.
func plus(sum, later measures) measures {
	for service, releases := range later {
		if sum[service] == nil {
			sum[service] = map[int]steady.Measure{}
		}
		for n, m := range releases {
			sum[service][n] = sum[service][n].Plus(m)
		}
	}
	return sum
}

// between adds up what was counted from the first of the readings to the last.
func between(readings []steady.Reading) measures {
	sum := measures{}
	for i := 1; i < len(readings); i++ {
		sum = plus(sum, readings[i].Since(readings[i-1]))
	}
	return sum
}
