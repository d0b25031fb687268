package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal says whether a stream is a person's terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// width is the terminal's number of columns, 80 where it does not say.
func width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 80
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}

// size is the terminal's columns and rows, 80 by 24 where it does not say.
func size(w io.Writer) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err == nil && s.Col > 0 && s.Row > 0 {
			return int(s.Col), int(s.Row)
		}
	}
	return 80, 24
}

// style colours text, or leaves it alone.
type style struct{ on bool }

// errStyle and outStyle colour on a terminal only, and never with NO_COLOR.
func (s *session) errStyle() style { return style{s.colour(s.err)} }
func (s *session) outStyle() style { return style{s.colour(s.out)} }

func (s *session) colour(w io.Writer) bool {
	return isTerminal(w) && s.getenv("NO_COLOR") == "" && s.getenv("TERM") != "dumb"
}

func (y style) red(t string) string    { return y.paint("31", t) }
func (y style) green(t string) string  { return y.paint("32", t) }
func (y style) yellow(t string) string { return y.paint("33", t) }
func (y style) bold(t string) string   { return y.paint("1", t) }
func (y style) dim(t string) string    { return y.paint("2", t) }

func (y style) paint(code, text string) string {
	if !y.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
