package proxy

import "encoding/binary"

// WebSocket close codes (RFC 6455 7.4.1 and the IANA registry).
const closeServiceRestart = 1012

const (
	// opClose is the opcode of a close frame, the least of those of control frames.
	opClose = 0x8
	// finalFrame is the bit of a message's last frame.
	finalFrame = 0x80
)

// closeFrame is an unmasked close frame, as a server sends it.
func closeFrame(code uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{finalFrame | opClose, 2}, code)
}

// frames follows WebSocket frames (RFC 6455 5.2) as they pass, to know where a
// message ends. It looks at headers only, so extensions and masks are all the same to it.
type frames struct {
	head   [14]byte
	have   int    // bytes of the header seen
	left   uint64 // bytes of the payload still to come
	more   bool   // the message goes on in another frame
	closed bool   // a close frame began: nothing may follow it
	plain  bool   // the frame under way is of a message, not a ping, pong or close
	data   int    // pieces of messages seen
}

// boundary says whether the last byte seen ended a message, or a frame between two.
func (f *frames) boundary() bool { return f.have == 0 && f.left == 0 && !f.more }

// follow takes b in and says how many bytes of it lead to its first boundary;
// -1 when there is none. A boundary before b is its caller's to ask for.
func (f *frames) follow(b []byte) (first int) {
	first = -1
	for i := 0; i < len(b); {
		if f.left > 0 {
			n := min(f.left, uint64(len(b)-i))
			f.left -= n
			i += int(n)
			f.count()
		} else {
			f.header(b[i])
			i++
		}
		if f.boundary() && first < 0 {
			first = i
		}
	}
	return first
}

func (f *frames) count() {
	if f.plain {
		f.data++
	}
}

func (f *frames) header(c byte) {
	f.head[f.have] = c
	f.have++
	if f.have < 2 {
		return
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	payload := size
	if f.head[1]&0x80 != 0 { // masked
		size += 4
	}
	if f.have < size {
		return
	}
	switch payload {
	case 2:
		f.left = uint64(f.head[1] & 0x7f)
	case 4:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	default:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	}
	op := f.head[0] & 0x0f
	f.closed = f.closed || op == opClose
	f.plain = op < opClose
	f.count()
	if f.plain { // control frames may stand between a message's frames
		f.more = f.head[0]&finalFrame == 0
	}
	f.have = 0
}
