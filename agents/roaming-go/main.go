// Command roaming-go is an agent in Go, written by hand from the protos: no SDK, only generated stubs.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
	discovery "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/discovery/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

type service struct {
	agent.UnimplementedAgentServiceServer // Converse: the mesh makes an Invoke of each input instead
	seen                                  sync.Map
}

func (*service) GetAgentCard(context.Context, *agent.GetAgentCardRequest) (*agent.GetAgentCardResponse, error) {
	return &agent.GetAgentCardResponse{Card: card}, nil
}

// Invoke refuses before its first event, or sends accepted, the answer and turn_done, numbered densely.
func (s *service) Invoke(request *agent.InvokeRequest, stream agent.AgentService_InvokeServer) error {
	text := ""
	for _, part := range request.GetMessage().GetParts() {
		text += part.GetText() + " "
	}
	if strings.TrimSpace(text) == "" {
		return status.Error(codes.InvalidArgument, "the message is empty: give it at least one part with text")
	}
	// One turn id is one turn, as long as the process lives. Equal requests get equal answers: a repeat needs no memory.
	if id := request.TurnId; id != "" {
		if before, known := s.seen.LoadOrStore(request.ConversationId+"/"+id, text); known && before != text {
			return status.Errorf(codes.Aborted, "the turn %s was used before with another message", id)
		}
	}
	event := &agent.AgentEvent{TurnId: request.TurnId, Source: &agent.Source{
		Agent: card.Name, Version: card.Version, Capability: card.Capabilities[0].Id}}
	send := func() error { event.Sequence++; return stream.Send(&agent.InvokeResponse{Event: event}) }
	event.Event = &agent.AgentEvent_Accepted{Accepted: &agent.Accepted{ConversationId: request.ConversationId}}
	if err := send(); err != nil {
		return err
	}
	for _, word := range strings.SplitAfter(answer(text, request.GetUser().GetLocale()), " ") {
		event.Event = &agent.AgentEvent_TextDelta{TextDelta: &agent.TextDelta{Text: word}}
		if err := send(); err != nil { // the caller cancelled, or is gone
			return err
		}
	}
	event.Event = &agent.AgentEvent_TurnDone{TurnDone: &agent.TurnDone{Outcome: agent.Outcome_OUTCOME_COMPLETED}}
	return send()
}

// stayRegistered registers, renews at a third of the lease, and registers anew when the lease is lost.
func stayRegistered(ctx context.Context, registry discovery.DiscoveryServiceClient, me *discovery.RegisterRequest) {
	for wait, held := time.Duration(0), false; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		var granted interface{ GetLease() *discovery.Lease }
		var err error
		// Not cut off by SIGTERM: a lease that was granted and not heard of could not be dropped.
		call, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		if held {
			granted, err = registry.Renew(call, &discovery.RenewRequest{InstanceId: me.InstanceId, Epoch: me.Epoch})
		} else {
			granted, err = registry.Register(call, me)
		}
		done()
		if err != nil {
			log.Printf("no lease, trying again: %v", err)
			held, wait = held && status.Code(err) != codes.NotFound, time.Second/2
			continue
		}
		held, me.Epoch, wait = true, granted.GetLease().Epoch, granted.GetLease().Ttl.AsDuration()/3
	}
}

func main() {
	mesh := flag.String("mesh", "127.0.0.1:8081", "where discovery answers: the internal address of the mesh")
	listen := flag.String("listen", "127.0.0.1:0", "where to serve; port 0 is any free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	channel, err := grpc.NewClient(*mesh, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	// Envoy pings every 10 s; a server in Go hangs up on whoever pings more often than every 5 minutes, unless told.
	pings := grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true})
	server, healthy, registry := grpc.NewServer(pings), health.NewServer(), discovery.NewDiscoveryServiceClient(channel)
	agent.RegisterAgentServiceServer(server, &service{})
	grpc_health_v1.RegisterHealthServer(server, healthy)
	go server.Serve(listener)
	me := &discovery.RegisterRequest{Address: listener.Addr().String(), Card: card,
		InstanceId: fmt.Sprintf("%s-%d", card.Name, time.Now().UnixNano())}
	log.Printf("%s %s answers at %s", card.Name, card.Version, me.Address)
	stayRegistered(ctx, registry, me)

	// Drain: nothing new is routed here, what runs is finished, and then the lease is dropped.
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	draining := discovery.InstanceState_INSTANCE_STATE_DRAINING
	registry.UpdateState(last, &discovery.UpdateStateRequest{InstanceId: me.InstanceId, Epoch: me.Epoch, State: draining})
	healthy.Shutdown()
	server.GracefulStop()
	registry.Deregister(last, &discovery.DeregisterRequest{InstanceId: me.InstanceId, Epoch: me.Epoch})
}
