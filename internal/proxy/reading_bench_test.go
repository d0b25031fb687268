package proxy

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// BenchmarkReading is what a rollout pays the proxy each second: ten services with
// the latencies of two releases each, and of fifty old ones that are quiet.
func BenchmarkReading(b *testing.B) {
	p := &Proxy{started: time.Now()}
	for i := range 10 {
		for release := range 52 {
			c := p.counts.of(fmt.Sprintf("shop/svc%d", i), release+1)
			for k := range 1000 {
				c.requests.Add(1)
				c.answered.Add(1)
				c.answer(200, time.Duration(k)*100*time.Microsecond)
			}
		}
	}
	p.counts.sampled = time.Time{}
	p.counts.sample(time.Now())
	since := time.Now()
	for i := range 10 {
		for _, release := range []int{51, 52} {
			p.counts.of(fmt.Sprintf("shop/svc%d", i), release).requests.Add(1)
		}
	}
	for name, since := range map[string]time.Time{"all": {}, "since": since} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				out, err := json.Marshal(p.reading("shop", since))
				if err != nil {
					b.Fatal(err)
				}
				size = len(out)
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
