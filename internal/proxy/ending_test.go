package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

// talk is a stream for an ending to watch, in a bubble of its own time.
type talk struct {
	*ending
	began  time.Time
	unseen bool          // bytes wait in a socket
	ended  time.Duration // since begin; 0: not yet
	quiet  bool
}

// newTalk is one with a question under way.
func newTalk(patience time.Duration) *talk {
	return newTalkAfter(patience, func(k *talk) {
		time.Sleep(time.Second)
		k.says(fromClient)
	})
}

func newTalkAfter(patience time.Duration, before func(k *talk)) *talk {
	k := &talk{}
	k.ending = newEnding(func() bool { return k.unseen }, func(quiet bool) bool {
		k.ended, k.quiet = max(time.Since(k.began), 1), quiet
		return true
	})
	before(k)
	k.began = time.Now()
	k.begin(patience)
	return k
}

func (k *talk) says(from int) {
	if k.heard(from) {
		k.passed(from)
	}
}

// answers has the server answer after a while, and the client rest afterwards.
func (k *talk) answers(after, rest time.Duration) {
	time.Sleep(after)
	k.says(fromServer)
	time.Sleep(rest)
}

func (k *talk) wants(t *testing.T, quiet bool, least, most time.Duration) {
	t.Helper()
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == 0 || k.quiet != quiet || k.ended < least || k.ended > most {
		t.Errorf("ended after %s, quiet %v; want quiet %v after %s to %s", k.ended, k.quiet, quiet, least, most)
	}
}

const patience = 2 * time.Second

func TestEnding_WaitsForTheAnswerAndForSilenceAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(patience)
		k.answers(300*time.Millisecond, time.Second)
		k.wants(t, true, 300*time.Millisecond+quietFor, 300*time.Millisecond+quietFor+time.Millisecond)
		if k.heard(fromClient) || k.heard(fromServer) {
			t.Error("something is passed on after the end")
		}
	})
}

func TestEnding_AClientThatAsksAgainAtOnceIsEndedInAPauseBehindAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(patience)
		answered := time.Duration(0)
		for k.ended == 0 && time.Since(k.began) < patience {
			time.Sleep(2 * time.Millisecond)
			k.says(fromServer)
			answered = time.Since(k.began)
			time.Sleep(8 * time.Millisecond)
			synctest.Wait()
			k.says(fromClient)
		}
		k.wants(t, true, answered+quietLeast, answered+4*time.Millisecond)
	})
}

// A client that looks whether its connection lives right before it asks is not ended
// between the two.
func TestEnding_AClientIsNotEndedInItsShortestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(patience)
		for k.ended == 0 && time.Since(k.began) < patience {
			k.answers(time.Millisecond, 0)
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if k.ended > 0 {
				t.Fatal("ended behind the shorter pause")
			}
			k.says(fromClient)
			k.answers(time.Millisecond, 20*time.Millisecond)
			synctest.Wait()
			k.says(fromClient)
		}
		k.wants(t, true, patience/quietShare, patience/2)
	})
}

func TestEnding_APauseWithinAnswersIsNotTakenForTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(patience)
		for k.ended == 0 && time.Since(k.began) < patience {
			for range 3 { // an answer of three pieces
				time.Sleep(6 * time.Millisecond)
				synctest.Wait()
				if k.ended > 0 {
					t.Fatal("ended within an answer")
				}
				k.says(fromServer)
			}
			time.Sleep(30 * time.Millisecond)
			synctest.Wait()
			k.says(fromClient)
		}
		k.wants(t, true, patience/quietShare, patience)
	})
}

func TestEnding_WhatIsNeverQuietIsCutWhenPatienceIsOver(t *testing.T) {
	for name, from := range map[string]int{"a server that goes on": fromServer, "a client without an answer": fromClient} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newTalk(patience)
				for time.Since(k.began) < patience+time.Second {
					time.Sleep(time.Millisecond)
					synctest.Wait()
					k.says(from)
				}
				k.wants(t, false, patience, patience+time.Millisecond)
			})
		})
	}
}

func TestEnding_BytesThatNobodyHasReadAreNoQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(patience)
		k.mu.Lock()
		k.unseen = true
		k.mu.Unlock()
		k.answers(0, 200*time.Millisecond)
		k.mu.Lock()
		k.unseen = false
		k.mu.Unlock()
		time.Sleep(time.Second)
		k.wants(t, true, 200*time.Millisecond, 200*time.Millisecond+quietFor)
	})
}

func TestEnding_AStreamThatEndsByItselfIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalk(patience)
		if how := k.stop(); how != byItself {
			t.Errorf("ended %d", how)
		}
		time.Sleep(2 * patience)
		synctest.Wait()
		if k.ended > 0 {
			t.Error("ended twice")
		}
	})
}

// asksSteadily asks 20 times, a pace behind each answer, and is answered at once.
func (k *talk) asksSteadily(pace time.Duration) {
	for range 20 {
		k.says(fromServer)
		time.Sleep(pace)
		k.says(fromClient)
	}
	k.says(fromServer)
}

// A client that asks at a steady pace is not ended when it is about to ask again, however
// late the proxy looks.
func TestEnding_IsNotPassedByAQuestionThatIsDue(t *testing.T) {
	const pace = 180 * time.Millisecond
	for at := time.Duration(0); at < pace; at += 10 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			k := newTalkAfter(patience, func(k *talk) {
				k.asksSteadily(pace)
				time.Sleep(at)
			})
			synctest.Wait()
			for answered := k.began.Add(-at); time.Since(k.began) < patience; answered = time.Now() {
				time.Sleep(time.Until(answered.Add(pace)))
				synctest.Wait()
				if k.ended > 0 {
					k.wants(t, true, 0, answered.Add(pace/2).Sub(k.began)+time.Millisecond)
					return
				}
				k.says(fromClient)
				k.says(fromServer)
			}
			t.Errorf("begun %s behind an answer, it was never ended", at)
		})
	}
}

// One that stops asking is ended all the same.
func TestEnding_AQuestionThatIsDueAndDoesNotComeIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTalkAfter(patience, func(k *talk) {
			k.asksSteadily(180 * time.Millisecond)
			time.Sleep(170 * time.Millisecond)
		})
		time.Sleep(time.Second)
		k.wants(t, true, 100*time.Millisecond, 200*time.Millisecond)
	})
}
