package mask

import (
	"context"
	"log/slog"
)

// Log is a handler that masks texts and errors before they reach the next one:
// values of every project that the set knows.
func (s *Set) Log(next slog.Handler) slog.Handler { return handler{next, s} }

type handler struct {
	slog.Handler
	set *Set
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.set.All(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	masked := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		masked[i] = h.attr(a)
	}
	return handler{h.Handler.WithAttrs(masked), h.set}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.set}
}

func (h handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.set.All(v.String()))
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return slog.String(a.Key, h.set.All(err.Error()))
		}
	case slog.KindGroup:
		group := make([]any, 0, len(v.Group()))
		for _, in := range v.Group() {
			group = append(group, h.attr(in))
		}
		return slog.Group(a.Key, group...)
	}
	return a
}
