package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// sendWithin bounds one try, whatever the way.
const sendWithin = 10 * time.Second

// Headers of a webhook. The signature is over the timestamp, a dot and the body, so
// that neither can be changed and an old message cannot be sent again as new.
const (
	headerNotice    = "X-Steady-Event"
	headerDelivery  = "X-Steady-Delivery" // the same in every try
	headerTimestamp = "X-Steady-Timestamp"
	headerSignature = "X-Steady-Signature"
)

// newClient makes the client of all webhooks: certificates are verified, and nobody
// is sent elsewhere.
func newClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true // there is nothing to gain, and no connection to keep an eye on
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send tries once. Its error holds no URL and no secret.
func (n *Notifier) send(ctx context.Context, d steady.Delivery) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sendWithin, fmt.Errorf("no answer within %s", sendWithin))
	defer cancel()
	r := d.Receiver
	switch {
	case len(r.Command) > 0:
		return n.command(ctx, d)
	case r.Slack != "":
		return n.slack(ctx, d)
	}
	secret, err := secretOf(r)
	if err != nil {
		return err
	}
	return n.post(ctx, r.Webhook, d.Body, headers(d, secret, time.Now()))
}

// headers are what a webhook gets besides its body.
func headers(d steady.Delivery, secret []byte, now time.Time) map[string]string {
	out := map[string]string{headerNotice: d.Notice, headerDelivery: strconv.FormatInt(d.ID, 10)}
	if len(secret) > 0 {
		at := strconv.FormatInt(now.Unix(), 10)
		out[headerTimestamp], out[headerSignature] = at, "sha256="+sign(secret, at, d.Body)
	}
	return out
}

func sign(secret []byte, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// secretOf reads the receiver's secret; none is no error where none was asked for.
func secretOf(r steady.Receiver) ([]byte, error) {
	switch {
	case r.SecretFile != "":
		b, err := os.ReadFile(r.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
		if b = bytes.TrimSpace(b); len(b) == 0 {
			return nil, fmt.Errorf("the secret's file %s is empty", r.SecretFile)
		}
		return b, nil
	case r.SecretEnv != "":
		v := os.Getenv(r.SecretEnv)
		if v == "" {
			return nil, fmt.Errorf("the daemon has no variable %s with the secret", r.SecretEnv)
		}
		return []byte(v), nil
	}
	return nil, nil
}

// slack sends the sentence, in which Slack wants three characters escaped.
func (n *Notifier) slack(ctx context.Context, d steady.Delivery) error {
	var m message
	if err := json.Unmarshal(d.Body, &m); err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	body, err := json.Marshal(map[string]string{"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(m.Text)})
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	return n.post(ctx, d.Receiver.Slack, body, nil)
}

func (n *Notifier) post(ctx context.Context, to string, body []byte, more map[string]string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "steady")
	for k, v := range more {
		req.Header.Set(k, v)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return bare(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // what is left of the answer is nothing to us
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// bare takes the URL from an error of net/http: its path may be the password.
func bare(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// command runs a command with the message as its input; its last line is the
// reason where it fails.
func (n *Notifier) command(ctx context.Context, d steady.Delivery) error {
	said := ""
	env := []string{"STEADY_EVENT=" + d.Notice, "STEADY_PROJECT=" + d.Project, "STEADY_ROLLOUT=" + strconv.FormatInt(d.Rollout, 10)}
	code, err := n.Host.Run(ctx, d.Receiver.Dir, d.Receiver.Command, env, bytes.NewReader(d.Body), func(line string) { said = line })
	switch {
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("it exited with code %d: %s", code, said[:min(len(said), 200)])
	}
	return nil
}
