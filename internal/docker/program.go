package docker

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"

	"gesalpai.ch/steady"
)

// The holder's program: it waits for SIGTERM or SIGINT and exits. A process that is
// the first of its namespace gets no signal that it has no handler for, unless it
// blocks it; so it blocks both and takes them by rt_sigtimedwait. It needs no libc, no
// memory of its own and no file, and a page or two are resident.
//
// The bytes are what Go's assembler makes of testdata/program, which a test holds.

// programs are the instructions by the Engine's word for the architecture.
var programs = map[string]struct {
	machine elf.Machine
	code    []byte
}{
	"amd64": {elf.EM_X86_64, []byte{
		0x68, 0x02, 0x40, 0x00, 0x00, //       push 0x4002      the set: bit 1 SIGINT, bit 14 SIGTERM
		0x31, 0xff, //                         xor  edi, edi    SIG_BLOCK
		0x48, 0x89, 0xe6, //                   mov  rsi, rsp    the set
		0x31, 0xd2, //                         xor  edx, edx    the old set: not wanted
		0x41, 0xba, 0x08, 0x00, 0x00, 0x00, // mov  r10d, 8     bytes in a set
		0xb8, 0x0e, 0x00, 0x00, 0x00, //       mov  eax, 14     rt_sigprocmask
		0x0f, 0x05, //                         syscall
		0x48, 0x89, 0xe7, //             wait: mov  rdi, rsp    the set
		0x31, 0xf6, //                         xor  esi, esi    who sent it: not wanted
		0x31, 0xd2, //                         xor  edx, edx    no end of patience
		0xb8, 0x80, 0x00, 0x00, 0x00, //       mov  eax, 128    rt_sigtimedwait; r10 is still 8
		0x0f, 0x05, //                         syscall
		0x83, 0xf8, 0xfc, //                   cmp  eax, -4     EINTR: it was frozen, or traced
		0x74, 0xed, //                         je   wait
		0x31, 0xff, //                         xor  edi, edi    exit code 0
		0xb8, 0xe7, 0x00, 0x00, 0x00, //       mov  eax, 231    exit_group
		0x0f, 0x05, //                         syscall
	}},
	"arm64": {elf.EM_AARCH64, []byte{
		0x44, 0x00, 0x88, 0xd2, //       mov  x4, 0x4002      the set: bit 1 SIGINT, bit 14 SIGTERM
		0xe4, 0x0f, 0x1f, 0xf8, //       str  x4, [sp, -16]!
		0xe0, 0x03, 0x1f, 0xaa, //       mov  x0, xzr         SIG_BLOCK
		0xe1, 0x03, 0x00, 0x91, //       mov  x1, sp          the set
		0xe2, 0x03, 0x1f, 0xaa, //       mov  x2, xzr         the old set: not wanted
		0x03, 0x01, 0x80, 0xd2, //       mov  x3, 8           bytes in a set
		0xe8, 0x10, 0x80, 0xd2, //       mov  x8, 135         rt_sigprocmask
		0x01, 0x00, 0x00, 0xd4, //       svc  0
		0xe0, 0x03, 0x00, 0x91, // wait: mov  x0, sp          the set
		0xe1, 0x03, 0x1f, 0xaa, //       mov  x1, xzr         who sent it: not wanted
		0xe2, 0x03, 0x1f, 0xaa, //       mov  x2, xzr         no end of patience
		0x28, 0x11, 0x80, 0xd2, //       mov  x8, 137         rt_sigtimedwait; x3 is still 8
		0x01, 0x00, 0x00, 0xd4, //       svc  0
		0x1f, 0x10, 0x00, 0x31, //       cmn  w0, 4           EINTR: it was frozen, or traced
		0x40, 0xff, 0xff, 0x54, //       b.eq wait
		0xe0, 0x03, 0x1f, 0xaa, //       mov  x0, xzr         exit code 0
		0xc8, 0x0b, 0x80, 0xd2, //       mov  x8, 94          exit_group
		0x01, 0x00, 0x00, 0xd4, //       svc  0
	}},
}

// Where the program lies in memory. Both are multiples of the largest page that a
// kernel of these architectures is built with.
const (
	programBase  = 0x400000
	programAlign = 0x10000
)

// program is the holder's executable: a static ELF file of one segment, headers
// and code, and a stack that cannot be executed.
func program(arch string) ([]byte, error) {
	p, ok := programs[arch]
	if !ok {
		return nil, steady.ErrUnsupported.With("there is no holder for an Engine on "+arch, "set x-steady.internal: off")
	}
	const segments = 2
	head := elf.Header64{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_EXEC),
		Machine: uint16(p.machine),
		Version: uint32(elf.EV_CURRENT),
	}
	ehdr, phdr := binary.Size(head), binary.Size(elf.Prog64{})
	start := ehdr + segments*phdr
	size := uint64(start + len(p.code))
	head.Entry = programBase + uint64(start)
	head.Phoff, head.Ehsize, head.Phentsize, head.Phnum = uint64(ehdr), uint16(ehdr), uint16(phdr), segments
	var out bytes.Buffer
	for _, part := range []any{
		head,
		elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
			Vaddr: programBase, Paddr: programBase, Filesz: size, Memsz: size, Align: programAlign},
		elf.Prog64{Type: uint32(elf.PT_GNU_STACK), Flags: uint32(elf.PF_R | elf.PF_W), Align: 16},
		slices.Clone(p.code),
	} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
