package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

func (h handler) events(w http.ResponseWriter, r *http.Request) {
	id, err := number("rollout", r.PathValue("id"))
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	after, err := number("after", r.URL.Query().Get("after"))
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.stream(w, r, func(ctx context.Context, s *stream) error {
		return h.backend.Events(ctx, id, after, func(e steady.Event) error { return s.write(e) })
	})
}

func (h handler) logs(w http.ResponseWriter, r *http.Request) {
	q, err := readLogQuery(r)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	h.stream(w, r, func(ctx context.Context, s *stream) error {
		return h.backend.Logs(ctx, q, func(l steady.LogLine) error { return s.write(l) })
	})
}

// stream runs produce and keeps the connection alive meanwhile. An error before
// the first line is an ordinary answer; after it, it is the stream's last line.
func (h handler) stream(w http.ResponseWriter, r *http.Request, produce func(context.Context, *stream) error) {
	ctx, cancel := context.WithCancel(r.Context())
	s := &stream{w: w, flush: http.NewResponseController(w).Flush}
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		s.beat(ctx, h.beat)
	}()
	err := produce(ctx, s)
	cancel()
	<-beating
	if err == nil || r.Context().Err() != nil || errors.Is(err, context.Canceled) { // the daemon stops: the client comes back
		s.begin()
		return
	}
	if !s.begun {
		h.refuse(w, r, err)
		return
	}
	h.log.Debug("stream ended early", "path", r.URL.Path, "err", err)
	if err := s.write(fault{Fault: steady.AsError(err)}); err != nil {
		h.log.Debug("client left", "path", r.URL.Path, "err", err)
	}
}

func logValues(q steady.LogQuery) url.Values {
	v := url.Values{"service": q.Services, "tail": {strconv.Itoa(q.Tail)}}
	if q.Release != 0 {
		v.Set("release", strconv.Itoa(q.Release))
	}
	if q.Follow {
		v.Set("follow", "true")
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	return v
}

func readLogQuery(r *http.Request) (steady.LogQuery, error) {
	v := r.URL.Query()
	q := steady.LogQuery{
		Project: r.PathValue("project"), Services: v["service"], Follow: v.Get("follow") == "true", Tail: -1,
	}
	release, err := number("release", v.Get("release"))
	if err != nil {
		return q, err
	}
	q.Release = int(release)
	if v.Has("tail") {
		tail, err := number("tail", v.Get("tail"))
		if err != nil {
			return q, err
		}
		q.Tail = int(tail)
	}
	if v.Has("since") {
		if q.Since, err = time.Parse(time.RFC3339Nano, v.Get("since")); err != nil {
			return q, steady.ErrUsage.With("since is no RFC 3339 time: "+v.Get("since"), "")
		}
	}
	return q, nil
}
