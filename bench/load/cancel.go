package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
	discovery "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/discovery/v1"
)

// cancelTurns serves an agent, calls it through the edge, cancels in the midst of the answer, and takes the time until
// the agent knows.
func cancelTurns(arguments []string) error {
	flags := flag.NewFlagSet("cancel", flag.ExitOnError)
	edge := flags.String("edge", "", "the edge of the mesh")
	mesh := flags.String("mesh", "", "the internal address of the mesh")
	rounds := flags.Int("rounds", 50, "how many times")
	flags.Parse(arguments)

	ended := make(chan time.Time, 1)
	served := newHost()
	served.ended = func(string) { ended <- time.Now() }
	card := cardFor("cancelled", "cancelled")
	address, err := served.add(card)
	if err != nil {
		return err
	}
	internal, err := dial(*mesh)
	if err != nil {
		return err
	}
	channel, err := dial(*edge)
	if err != nil {
		return err
	}
	if _, err := register(discovery.NewDiscoveryServiceClient(internal), address, card); err != nil {
		return err
	}
	var took spread
	for range *rounds {
		cancelled, err := beginAndCancel(agent.NewAgentServiceClient(channel))
		if err != nil {
			return err
		}
		select {
		case at := <-ended:
			took.add(at.Sub(cancelled))
		case <-time.After(churnLimit):
			return fmt.Errorf("the agent did not hear of a cancel within %s", churnLimit)
		}
	}
	say(map[string]any{"event": "end", "cancel_ms": took.milliseconds()})
	return nil
}

// beginAndCancel gives the time of the cancel. An agent that is not known yet is asked again.
func beginAndCancel(edge agent.AgentServiceClient) (time.Time, error) {
	var failed error
	for limit := time.Now().Add(churnLimit); time.Now().Before(limit); time.Sleep(askAgain) {
		ctx, cancel := context.WithTimeout(context.Background(), churnLimit)
		stream, err := edge.Invoke(ctx, &agent.InvokeRequest{
			Message: message(work{tokens: 1000, pace: 20 * time.Millisecond}.text()), RouteHint: &agent.RouteHint{Agent: "cancelled"}})
		for tokens := 0; err == nil && tokens < 2; {
			var response *agent.InvokeResponse
			if response, err = stream.Recv(); response.GetEvent().GetTextDelta() != nil {
				tokens++
			}
		}
		if failed = err; failed == nil {
			at := time.Now()
			cancel()
			return at, nil
		}
		cancel()
	}
	return time.Time{}, failed
}
