package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// paceCells are a service's requests/s, errors, p50 and p99. A service that takes
// no traffic has none.
func paceCells(v steady.ServiceStatus, p steady.Pace) []string {
	if len(v.Ports) == 0 && v.Traffic == (steady.Counts{}) {
		return []string{"-", "-", "-", "-"}
	}
	return []string{rateText(p.PerSecond), number(p.Errors), latencyText(p.P50), latencyText(p.P99)}
}

// rateText is a number per second, with a decimal where it is small.
func rateText(perSecond float64) string {
	if perSecond == 0 || perSecond >= 99.95 {
		return number(int64(perSecond + 0.5))
	}
	return fmt.Sprintf("%.1f", perSecond)
}

// latencyText is a latency, to a tenth of a millisecond where it is short.
func latencyText(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 9950*time.Microsecond:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	}
	return span(d)
}

// cpuText is the use of the processors in percent of one, beside how many cores
// are allowed: "12% of 0.5".
func cpuText(r steady.ReplicaStatus) string {
	if r.Usage == nil {
		return "-"
	}
	text := fmt.Sprintf("%.0f%%", r.Usage.CPU*100)
	if r.Usage.CPU > 0 && r.Usage.CPU < 0.0995 {
		text = fmt.Sprintf("%.1f%%", r.Usage.CPU*100)
	}
	if r.Limits.CPUs > 0 {
		text += " of " + strconv.FormatFloat(r.Limits.CPUs, 'f', -1, 64)
	}
	return text
}

// memoryText is the memory in use beside what is allowed: "31 MiB of 2 GiB".
func memoryText(r steady.ReplicaStatus) string {
	if r.Usage == nil {
		return "-"
	}
	text := bytesText(r.Usage.Memory)
	if r.Limits.Memory > 0 {
		text += " of " + bytesText(r.Limits.Memory)
	}
	return text
}

// bytesText is a size in its largest unit: 512 MiB, 1.5 GiB.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, u := float64(n), 0
	for size >= 1023.5 && u < len(units)-1 {
		size, u = size/1024, u+1
	}
	text := strconv.FormatFloat(size, 'f', 0, 64)
	if size < 9.95 && u > 0 {
		text = strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0")
	}
	return text + " " + units[u]
}
