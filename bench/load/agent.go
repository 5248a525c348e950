package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// host serves any number of agents in one process, each at an address of its own.
type host struct {
	agent.UnimplementedAgentServiceServer
	server *grpc.Server
	mutex  sync.RWMutex
	cards  map[string]*agent.AgentCard // by address
	ended  func(text string)           // told when a caller cancelled a turn; may be nil
}

func newHost() *host {
	// Envoy pings every 10 s; a server in Go hangs up on whoever pings more often than every 5 minutes, unless told.
	pings := grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true})
	h := &host{server: grpc.NewServer(pings), cards: map[string]*agent.AgentCard{}}
	agent.RegisterAgentServiceServer(h.server, h)
	grpc_health_v1.RegisterHealthServer(h.server, health.NewServer())
	return h
}

// add serves one more agent and gives its address.
func (h *host) add(card *agent.AgentCard) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := listener.Addr().String()
	h.become(address, card)
	go h.server.Serve(listener)
	return address, nil
}

// become lets another agent answer at an address.
func (h *host) become(address string, card *agent.AgentCard) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.cards[address] = card
}

func (h *host) cardOf(ctx context.Context) *agent.AgentCard {
	caller, _ := peer.FromContext(ctx)
	h.mutex.RLock()
	defer h.mutex.RUnlock()
	return h.cards[caller.LocalAddr.String()]
}

func (h *host) GetAgentCard(ctx context.Context, _ *agent.GetAgentCardRequest) (*agent.GetAgentCardResponse, error) {
	return &agent.GetAgentCardResponse{Card: h.cardOf(ctx)}, nil
}

func (h *host) Invoke(request *agent.InvokeRequest, stream agent.AgentService_InvokeServer) error {
	var text strings.Builder
	for _, part := range request.GetMessage().GetParts() {
		text.WriteString(part.GetText())
	}
	card := h.cardOf(stream.Context())
	event := &agent.AgentEvent{TurnId: request.TurnId, Source: &agent.Source{
		Agent: card.Name, Version: card.Version, Capability: card.Capabilities[0].Id}}
	send := func() error { event.Sequence++; return stream.Send(&agent.InvokeResponse{Event: event}) }
	event.Event = &agent.AgentEvent_Accepted{Accepted: &agent.Accepted{ConversationId: request.ConversationId}}
	if err := send(); err != nil {
		return err
	}
	err := answer(stream.Context(), workIn(text.String()), card.Name, func(token string) error {
		event.Event = &agent.AgentEvent_TextDelta{TextDelta: &agent.TextDelta{Text: token}}
		return send()
	})
	if err != nil {
		if h.ended != nil {
			h.ended(text.String())
		}
		return status.FromContextError(err).Err()
	}
	event.Event = &agent.AgentEvent_TurnDone{TurnDone: &agent.TurnDone{Outcome: agent.Outcome_OUTCOME_COMPLETED}}
	return send()
}

// answer sends the tokens on a fixed schedule, so that a path that is slow does not slow down the agent as well.
func answer(ctx context.Context, asked work, name string, send func(token string) error) error {
	if asked.late == name {
		if err := sleepUntil(ctx, time.Now().Add(asked.lateness)); err != nil {
			return err
		}
	}
	start := time.Now()
	for i := range asked.tokens {
		if asked.pace > 0 {
			if err := sleepUntil(ctx, start.Add(time.Duration(i)*asked.pace)); err != nil {
				return err
			}
		}
		if err := send(stamp()); err != nil {
			return err
		}
	}
	return nil
}

func sleepUntil(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// cardFor is the card of an agent with one capability, and phrases that no other agent's resemble.
func cardFor(name, capability string) *agent.AgentCard {
	return &agent.AgentCard{
		Name: name, Version: "1.0.0", Description: "Answers the benchmark.",
		Capabilities: []*agent.Capability{{
			Id: capability, Version: "1.0.0", Description: fmt.Sprintf("Does the work of %s.", name),
			Examples: map[string]*agent.Examples{"en": {Phrases: []string{
				fmt.Sprintf("please do the work of %s", name), fmt.Sprintf("%s has to answer", name)}}},
		}},
	}
}

func isRefusal(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.Canceled, codes.DeadlineExceeded:
		return false
	}
	return true
}
