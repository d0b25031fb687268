package doctor

import "strings"

// directive is one of nginx's: a name, its arguments and, for a block, what is
// within it.
type directive struct {
	name  string
	args  []string
	block []directive // nil: it ends with a semicolon
	file  string
}

// each visits all directives, outer ones first.
func each(all []directive, visit func(directive)) {
	for _, d := range all {
		visit(d)
		each(d.block, visit)
	}
}

// parseNginx reads what nginx -T prints: all files of a configuration that loads,
// one behind the other. Includes are not followed, as each file is there by
// itself; so what is included within a block stands at the top.
func parseNginx(dump string) []directive {
	p := &nginxParser{rest: dump}
	var out []directive
	for p.rest != "" {
		before := len(p.rest)
		out = append(out, p.block()...)
		if len(p.rest) == before {
			break
		}
	}
	return out
}

type nginxParser struct {
	rest string
	file string
}

// block reads directives up to the brace that closes it, or the end.
func (p *nginxParser) block() []directive {
	out := []directive{}
	var words []string
	for {
		word, mark := p.next()
		switch mark {
		case 0: // the end
			return out
		case '}':
			return out
		case ';':
			if len(words) > 0 {
				out = append(out, directive{name: words[0], args: words[1:], file: p.file})
			}
			words = nil
		case '{':
			d := directive{file: p.file}
			if len(words) > 0 {
				d.name, d.args = words[0], words[1:]
			}
			d.block = p.block()
			out, words = append(out, d), nil
		default:
			words = append(words, word)
		}
	}
}

// next is a word, with mark 'w', or one of the marks ; { }, or 0 at the end.
func (p *nginxParser) next() (word string, mark byte) {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		if p.rest == "" {
			return "", 0
		}
		if p.rest[0] != '#' {
			break
		}
		line, rest, _ := strings.Cut(p.rest, "\n")
		if name, ok := strings.CutPrefix(line, "# configuration file "); ok {
			p.file = strings.TrimSuffix(name, ":")
		}
		p.rest = rest
	}
	switch c := p.rest[0]; c {
	case ';', '{', '}':
		p.rest = p.rest[1:]
		return "", c
	case '"', '\'':
		return p.quoted(c), 'w'
	}
	end := strings.IndexAny(p.rest, " \t\r\n;{}")
	for end > 0 && p.rest[end] == '{' && p.rest[end-1] == '$' { // ${name}
		closing := strings.IndexByte(p.rest[end:], '}')
		if closing < 0 {
			break
		}
		more := strings.IndexAny(p.rest[end+closing+1:], " \t\r\n;{}")
		if more < 0 {
			end = len(p.rest)
			break
		}
		end += closing + 1 + more
	}
	if end < 0 {
		end = len(p.rest)
	}
	word, p.rest = p.rest[:end], p.rest[end:]
	return word, 'w'
}

func (p *nginxParser) quoted(quote byte) string {
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case quote:
			word := p.rest[1:i]
			p.rest = p.rest[i+1:]
			return word
		}
	}
	word := p.rest[1:]
	p.rest = ""
	return word
}
