package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
	discovery "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/discovery/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	lease         = 300 * time.Second // the longest that discovery grants
	callLimit     = 20 * time.Second
	registerLanes = 16
)

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

func register(registry discovery.DiscoveryServiceClient, address string, card *agent.AgentCard) (*discovery.Lease, error) {
	ctx, done := context.WithTimeout(context.Background(), callLimit)
	defer done()
	granted, err := registry.Register(ctx, &discovery.RegisterRequest{
		InstanceId: card.Name, Address: address, Card: card, Ttl: durationpb.New(lease)})
	return granted.GetLease(), err
}

// serveAgents serves agents and keeps them registered until standard input is closed.
func serveAgents(arguments []string) error {
	flags := flag.NewFlagSet("agents", flag.ExitOnError)
	mesh := flags.String("mesh", "", "where discovery answers; empty: the agents are not registered")
	count := flags.Int("count", 1, "how many agents")
	prefix := flags.String("prefix", "worker", "their names are this, a hyphen and a number from 0")
	capability := flags.String("capability", "", "the capability that all have; empty: each has one of its own")
	flags.Parse(arguments)

	served, addresses, cards := newHost(), []string{}, []*agent.AgentCard{}
	for i := range *count {
		name := fmt.Sprintf("%s-%d", *prefix, i)
		own := *capability
		if own == "" {
			own = name
		}
		card := cardFor(name, own)
		address, err := served.add(card)
		if err != nil {
			return err
		}
		addresses, cards = append(addresses, address), append(cards, card)
	}
	if *mesh != "" {
		if err := registerAll(*mesh, addresses, cards); err != nil {
			return err
		}
	}
	say(map[string]any{"event": "ready", "addresses": addresses})
	waitForEnd()
	return nil
}

func registerAll(mesh string, addresses []string, cards []*agent.AgentCard) error {
	channel, err := dial(mesh)
	if err != nil {
		return err
	}
	registry := discovery.NewDiscoveryServiceClient(channel)
	leases, failures, places := make([]*discovery.Lease, len(cards)), make(chan error, registerLanes), make(chan int)
	for range registerLanes {
		go func() {
			for i := range places {
				var failed error
				if leases[i], failed = register(registry, addresses[i], cards[i]); failed != nil {
					failures <- fmt.Errorf("registering %s: %w", cards[i].Name, failed)
					return
				}
			}
			failures <- nil
		}()
	}
	go func() {
		defer close(places)
		for i := range cards {
			places <- i
		}
	}()
	for range registerLanes {
		if failed := <-failures; failed != nil {
			return failed
		}
	}
	go renewAll(registry, leases)
	return nil
}

// renewAll renews evenly over the time of a lease, because ten thousand at once would be a measurement of their own.
func renewAll(registry discovery.DiscoveryServiceClient, leases []*discovery.Lease) {
	for {
		for _, each := range leases {
			time.Sleep(lease * 6 / 10 / time.Duration(len(leases)))
			ctx, done := context.WithTimeout(context.Background(), callLimit)
			registry.Renew(ctx, &discovery.RenewRequest{InstanceId: each.InstanceId, Epoch: each.Epoch})
			done()
		}
	}
}
