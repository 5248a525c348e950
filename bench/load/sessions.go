package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
)

const (
	sessionConnections = 8
	sessionLimit       = 60 * time.Second
)

// holdSessions opens live sessions, says so, holds them until its input is closed, and then asks each whether it lives.
func holdSessions(arguments []string) error {
	flags := flag.NewFlagSet("sessions", flag.ExitOnError)
	edge := flags.String("edge", "", "the edge of the mesh")
	count := flags.Int("count", 100, "how many sessions")
	rate := flags.Int("rate", 500, "how many are opened in a second")
	flags.Parse(arguments)

	clients := []agent.AgentServiceClient{}
	for range sessionConnections {
		channel, err := dial(*edge)
		if err != nil {
			return err
		}
		clients = append(clients, agent.NewAgentServiceClient(channel))
	}
	began, opened := time.Now(), make(chan agent.AgentService_ConverseClient, *count)
	var opening spread
	for i := range *count {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(*rate))))
		go func() {
			asked := time.Now()
			session, err := open(clients[i%len(clients)], i)
			if err == nil {
				opening.add(time.Since(asked))
			}
			opened <- session
		}()
	}
	sessions := []agent.AgentService_ConverseClient{}
	for range *count {
		if session := <-opened; session != nil {
			sessions = append(sessions, session)
		}
	}
	say(map[string]any{"event": "open", "open": len(sessions), "open_ms": opening.milliseconds()})
	waitForEnd()
	say(map[string]any{"event": "end", "alive": countAlive(sessions)})
	return nil
}

func open(client agent.AgentServiceClient, number int) (agent.AgentService_ConverseClient, error) {
	session, err := client.Converse(context.Background())
	if err != nil {
		return nil, err
	}
	start := &agent.SessionStart{ConversationId: fmt.Sprintf("session-%d-%d", number, time.Now().UnixNano())}
	err = session.Send(&agent.ConverseRequest{Sequence: 1, Input: &agent.ConverseRequest_Start{Start: start}})
	if err != nil {
		return nil, err
	}
	response, err := session.Recv()
	if err != nil {
		return nil, err
	}
	if response.GetEvent().GetSessionReady() == nil {
		return nil, fmt.Errorf("the session began with %T", response.GetEvent().GetEvent())
	}
	return session, nil
}

func countAlive(sessions []agent.AgentService_ConverseClient) int {
	answers := make(chan bool, len(sessions))
	for _, session := range sessions {
		go func() {
			err := session.Send(&agent.ConverseRequest{
				Sequence: 2, Input: &agent.ConverseRequest_Ping{Ping: &agent.Ping{Id: 7}}})
			if err != nil {
				answers <- false
				return
			}
			response, err := session.Recv()
			answers <- err == nil && response.GetEvent().GetPong().GetId() == 7
		}()
	}
	alive, limit := 0, time.After(sessionLimit)
	for range sessions {
		select {
		case answered := <-answers:
			if answered {
				alive++
			}
		case <-limit:
			return alive
		}
	}
	return alive
}
