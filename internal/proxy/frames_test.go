package proxy

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// frame is one WebSocket frame with n bytes of payload.
func frame(op byte, n int, masked bool) []byte {
	b := []byte{0x80 | op}
	var mask byte
	if masked {
		mask = 0x80
	}
	switch {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = append(b, mask|126, byte(n>>8), byte(n))
	default:
		b = append(b, mask|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	if masked {
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, bytes.Repeat([]byte{0x88}, n)...) // a payload that looks like close frames
}

func TestFrames_BoundariesAreFoundHoweverTheBytesAreCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 125, 126, 127, 65535, 65536, 70000}), 1, 6).Draw(t, "sizes")
		var all []byte
		ends := map[int]bool{0: true}
		for _, n := range sizes {
			all = append(all, frame(2, n, rapid.Bool().Draw(t, "masked"))...)
			ends[len(all)] = true
		}
		var f frames
		for at := 0; at < len(all); {
			n := rapid.IntRange(1, len(all)-at).Draw(t, "chunk")
			first := f.follow(all[at : at+n])
			want := -1
			for i := 1; i <= n && want < 0; i++ {
				if ends[at+i] {
					want = i
				}
			}
			if first != want {
				t.Fatalf("first boundary at %d, want %d", first, want)
			}
			at += n
			if f.boundary() != ends[at] {
				t.Fatalf("boundary at %d: %v", at, f.boundary())
			}
		}
		if f.closed {
			t.Fatal("a payload was taken for a close frame")
		}
		f.follow(frame(opClose, 2, false))
		if !f.closed {
			t.Fatal("a close frame was overlooked")
		}
	})
}

func TestFrames_AMessageOfSeveralFramesHasOneEnd(t *testing.T) {
	var f frames
	first, ping, last := frame(1, 5, false), frame(9, 0, false), frame(0, 5, false)
	first[0] &^= finalFrame
	for i, c := range []struct {
		b    []byte
		want bool
	}{{first, false}, {ping, false}, {last, true}, {ping, true}} {
		f.follow(c.b)
		if f.boundary() != c.want {
			t.Errorf("piece %d: boundary %v", i, f.boundary())
		}
	}
	if was := f.data; was != 4 { // two heads and two payloads
		t.Errorf("%d pieces of messages", was)
	}
}

func TestAnswer_EventEndsAreFoundForEveryLineEnd(t *testing.T) {
	for text, want := range map[string]bool{
		"data: a\n\n": true, "data: a\r\n\r\n": true, "data: a\r\r": true,
		"data: a\n": false, "data: a\r\n": false, "data: a\n\nid": false, "data: a\r\n\r\n: c\r\n": false,
	} {
		a := &answer{between: true}
		for _, c := range []byte(text) {
			a.follow(c)
		}
		if a.between != want {
			t.Errorf("%q: %v, want %v", text, a.between, want)
		}
	}
}
