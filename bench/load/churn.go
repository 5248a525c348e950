package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
	discovery "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/discovery/v1"
	"google.golang.org/grpc/metadata"
)

const (
	askAgain   = 500 * time.Microsecond
	churnLimit = 10 * time.Second
)

// churn registers an agent, calls it until it answers, deregisters it, and calls it until it is refused, again and again.
func churn(arguments []string) error {
	flags := flag.NewFlagSet("churn", flag.ExitOnError)
	mesh := flags.String("mesh", "", "the internal address of the mesh")
	rounds := flags.Int("rounds", 20, "how many times")
	prefix := flags.String("prefix", "visitor", "the names of the agents begin with it")
	flags.Parse(arguments)

	channel, err := dial(*mesh)
	if err != nil {
		return err
	}
	registry, agents, served := discovery.NewDiscoveryServiceClient(channel), agent.NewAgentServiceClient(channel), newHost()
	address, err := served.add(cardFor("nobody", "nobody"))
	if err != nil {
		return err
	}
	var registering, answered, refused spread
	for round := range *rounds {
		card := cardFor(fmt.Sprintf("%s-%d", *prefix, round), "visit")
		served.become(address, card)
		began := time.Now()
		granted, err := register(registry, address, card)
		if err != nil {
			return err
		}
		registered := time.Now()
		if err := until(agents, card, false); err != nil {
			return err
		}
		registering.add(registered.Sub(began))
		answered.add(time.Since(registered))

		ctx, done := context.WithTimeout(context.Background(), callLimit)
		_, err = registry.Deregister(ctx, &discovery.DeregisterRequest{InstanceId: granted.InstanceId, Epoch: granted.Epoch})
		done()
		if err != nil {
			return err
		}
		deregistered := time.Now()
		if err := until(agents, card, true); err != nil {
			return err
		}
		refused.add(time.Since(deregistered))
	}
	say(map[string]any{"event": "end", "register_ms": registering.milliseconds(),
		"first_call_ms": answered.milliseconds(), "first_refusal_ms": refused.milliseconds()})
	return nil
}

func until(agents agent.AgentServiceClient, card *agent.AgentCard, wantRefusal bool) error {
	route := metadata.Pairs("x-lmos-route", fmt.Sprintf("%s/%s/stable", card.Name, card.Version))
	ctx, done := context.WithTimeout(metadata.NewOutgoingContext(context.Background(), route), churnLimit)
	defer done()
	for {
		err := oneTurn(ctx, agents)
		if ctx.Err() != nil {
			return fmt.Errorf("%s: refused=%t did not come within %s: %v", card.Name, wantRefusal, churnLimit, err)
		}
		if isRefusal(err) == wantRefusal {
			return nil
		}
		time.Sleep(askAgain)
	}
}

func oneTurn(ctx context.Context, agents agent.AgentServiceClient) error {
	stream, err := agents.Invoke(ctx, &agent.InvokeRequest{Message: message(work{tokens: 1}.text())})
	for err == nil {
		var response *agent.InvokeResponse
		if response, err = stream.Recv(); response.GetEvent().GetTurnDone() != nil {
			return nil
		}
	}
	return err
}

func message(text string) *agent.Message {
	return &agent.Message{Role: agent.Role_ROLE_USER,
		Parts: []*agent.Part{{Content: &agent.Part_Text{Text: text}}}}
}
