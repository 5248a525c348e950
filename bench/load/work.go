package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// stampBytes is the length of a token: the time it was sent, in 16 hexadecimal digits, and a space.
const stampBytes = 17

// work is what a caller asks of an agent; it travels as the text of the message.
type work struct {
	tokens   int
	pace     time.Duration // between two tokens; 0: as fast as it goes
	late     string        // the agent that is to be late
	lateness time.Duration // how late its first token is
}

func (w work) text() string {
	return fmt.Sprintf("work tokens=%d pace=%s late=%s lateness=%s", w.tokens, w.pace, w.late, w.lateness)
}

// workIn reads the text of a message; anything else than work is answered with one token.
func workIn(text string) work {
	asked := work{tokens: 1}
	for _, field := range strings.Fields(text) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "tokens":
			asked.tokens, _ = strconv.Atoi(value)
		case "pace":
			asked.pace, _ = time.ParseDuration(value)
		case "late":
			asked.late = value
		case "lateness":
			asked.lateness, _ = time.ParseDuration(value)
		}
	}
	return asked
}

// stamp is a token that tells when it was sent. Both ends run on one machine, so one clock is enough.
func stamp() string {
	return fmt.Sprintf("%016x ", time.Now().UnixNano())
}

// delaysIn gives how long ago each token in a text was sent; a text may hold several tokens.
func delaysIn(text string, now time.Time) []time.Duration {
	var delays []time.Duration
	for ; len(text) >= stampBytes; text = text[stampBytes:] {
		if sent, err := strconv.ParseInt(text[:stampBytes-1], 16, 64); err == nil {
			delays = append(delays, time.Duration(now.UnixNano()-sent))
		}
	}
	return delays
}
