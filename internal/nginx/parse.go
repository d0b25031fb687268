package nginx

import "strings"

// parse reads nginx's language: words, quotes, semicolons, braces, comments. It
// is lenient, for nginx itself has read the text before.
func parse(text string) []directive {
	s := scanner{text: text}
	return s.block()
}

type scanner struct {
	text string
	at   int
}

// block reads directives up to the brace that closes it, or to the end.
func (s *scanner) block() []directive {
	out := []directive{} // not nil: a block that is empty is one all the same
	var words []string
	for {
		word, mark := s.next()
		switch mark {
		case ';':
			if len(words) > 0 {
				out = append(out, directive{words: words})
			}
			words = nil
		case '{':
			inner := s.block()
			if len(words) > 0 {
				out = append(out, directive{words: words, block: inner})
			}
			words = nil
		case '}', 0:
			return out
		default:
			words = append(words, word)
		}
	}
}

// next is a word, with the mark 'w', or one of ; { } or the end, 0.
func (s *scanner) next() (word string, mark byte) {
	s.skip()
	if s.at >= len(s.text) {
		return "", 0
	}
	switch c := s.text[s.at]; c {
	case ';', '{', '}':
		s.at++
		return "", c
	case '"', '\'':
		return s.quoted(c), 'w'
	}
	return s.plain(), 'w'
}

// skip passes over blanks and comments.
func (s *scanner) skip() {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '#':
			end := strings.IndexByte(s.text[s.at:], '\n')
			if end < 0 {
				s.at = len(s.text)
				return
			}
			s.at += end
		case strings.IndexByte(" \t\r\n", c) >= 0:
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) quoted(quote byte) string {
	var b strings.Builder
	for s.at++; s.at < len(s.text); s.at++ {
		c := s.text[s.at]
		if c == quote {
			s.at++
			break
		}
		if c == '\\' && s.at+1 < len(s.text) {
			s.at++
			c = s.text[s.at]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// plain is a word without quotes; the braces of ${name} belong to it.
func (s *scanner) plain() string {
	from := s.at
	for ; s.at < len(s.text); s.at++ {
		c := s.text[s.at]
		if c == '{' && s.at > from && s.text[s.at-1] == '$' {
			if end := strings.IndexByte(s.text[s.at:], '}'); end > 0 {
				s.at += end
				continue
			}
		}
		if strings.IndexByte(" \t\r\n;{}", c) >= 0 {
			break
		}
	}
	return s.text[from:s.at]
}
