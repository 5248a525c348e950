package main

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
)

// talked is what came of the sessions that talk.
type talked struct {
	mutex                              sync.Mutex
	whole, turns, failed, events, lost int
	stopped                            spread // from a cancel to the `turn_done` that acknowledges it
	stray                              int    // events of a cancelled turn after that
	first                              error
}

// talkInSessions holds many live sessions at once; in each the caller talks, and interrupts the last answer. Every event
// is counted: a number that is missing or comes twice is a lost one.
func talkInSessions(arguments []string) error {
	flags := flag.NewFlagSet("talk", flag.ExitOnError)
	edge := flags.String("edge", "", "the edge of the mesh")
	name := flags.String("agent", "worker-0", "the agent that answers")
	count := flags.Int("count", 100, "how many sessions")
	turns := flags.Int("turns", 3, "how many whole turns each has")
	tokens := flags.Int("tokens", 20, "tokens of an answer")
	pace := flags.Duration("pace", 100*time.Millisecond, "time between two tokens")
	listen := flags.Duration("listen", 6*time.Second, "how long a caller listens to an answer, and thinks")
	flags.Parse(arguments)

	clients := []agent.AgentServiceClient{}
	for range sessionConnections {
		channel, err := dial(*edge)
		if err != nil {
			return err
		}
		clients = append(clients, agent.NewAgentServiceClient(channel))
	}
	asked := work{tokens: *tokens, pace: *pace}
	var found talked
	var all sync.WaitGroup
	began := time.Now()
	for i := range *count {
		all.Add(1)
		go func() {
			defer all.Done()
			// Not all in the same moment: callers do not ring up together.
			time.Sleep(time.Duration(i) * (*listen + time.Second) / time.Duration(*count))
			found.add(talk(clients[i%len(clients)], *name, i, *turns, asked, *listen, &found.stopped))
		}()
	}
	all.Wait()
	if found.first != nil {
		say(map[string]any{"event": "trouble", "first": found.first.Error()})
	}
	say(map[string]any{"event": "end", "whole": found.whole, "turns": found.turns, "failed": found.failed, "events": found.events,
		"lost": found.lost, "stray": found.stray, "seconds": time.Since(began).Seconds(),
		"stop_ms": found.stopped.milliseconds()})
	return nil
}

type talkResult struct {
	turns, failed, events, lost, stray int
	err                                error
}

func (t *talked) add(one talkResult) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.turns, t.failed, t.events = t.turns+one.turns, t.failed+one.failed, t.events+one.events
	t.lost, t.stray = t.lost+one.lost, t.stray+one.stray
	if one.err == nil {
		t.whole++
	} else if t.first == nil {
		t.first = one.err
	}
}

func talk(
	client agent.AgentServiceClient, name string, number, turns int, asked work, listen time.Duration, stopped *spread,
) (result talkResult) {
	ctx, cancel := context.WithTimeout(context.Background(), sessionLimit)
	defer cancel()
	session, err := client.Converse(ctx)
	if err != nil {
		return talkResult{err: err}
	}
	start := &agent.SessionStart{ConversationId: fmt.Sprintf("talk-%d-%d", number, time.Now().UnixNano()), Agent: name}
	result.err = session.Send(&agent.ConverseRequest{Sequence: 1, Input: &agent.ConverseRequest_Start{Start: start}})
	sequence, sent := int64(0), int64(1)
	hear := func() *agent.AgentEvent {
		response, err := session.Recv()
		if err != nil {
			result.err = err
			return nil
		}
		event := response.GetEvent()
		sequence++
		if event.Sequence != sequence {
			result.lost++
			sequence = event.Sequence
		}
		result.events++
		return event
	}
	tell := func(request *agent.ConverseRequest) {
		sent++
		request.Sequence = sent
		if err := session.Send(request); err != nil {
			result.err = err
		}
	}
	ask := func(turn string) {
		text := &agent.UserText{Text: asked.text(), IsFinal: true, TurnId: turn}
		tell(&agent.ConverseRequest{Input: &agent.ConverseRequest_UserText{UserText: text}})
	}
	if event := hear(); event == nil || event.GetSessionReady() == nil {
		return result
	}
	for turn := range turns {
		ask(fmt.Sprintf("t%d", turn))
		tokens := 0
		for {
			event := hear()
			if event == nil {
				return result
			}
			if event.GetTextDelta() != nil {
				tokens++
			}
			if done := event.GetTurnDone(); done != nil {
				if done.Outcome != agent.Outcome_OUTCOME_COMPLETED {
					result.failed++
				} else {
					result.turns++
					result.lost += asked.tokens - tokens
				}
				break
			}
		}
		time.Sleep(listen)
	}
	// The last answer is interrupted at its first words.
	ask("last")
	for {
		event := hear()
		if event == nil {
			return result
		}
		if event.GetTextDelta() != nil {
			break
		}
	}
	at := time.Now()
	tell(&agent.ConverseRequest{Input: &agent.ConverseRequest_Cancel{Cancel: &agent.Cancel{TurnId: "last"}}})
	acknowledged := false
	tell(&agent.ConverseRequest{Input: &agent.ConverseRequest_End{End: &agent.SessionEnd{}}})
	for {
		event := hear()
		if event == nil || event.GetSessionEnded() != nil {
			return result
		}
		if acknowledged && event.TurnId == "last" {
			result.stray++
		}
		if event.GetTurnDone() != nil {
			acknowledged = true
			stopped.add(time.Since(at))
		}
	}
}
