package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	agent "github.com/lmos-grpc/lmos-grpc/gen/go/lmos/agent/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const mostConnections = 4

// load is what callers do, each one turn after the other, until the time is over.
type load struct {
	targets  []agent.AgentServiceClient // one is picked by caller; with `all`, each turn asks every one of them
	all      bool
	callers  int
	request  *agent.InvokeRequest
	route    string
	spread   time.Duration // the callers begin at different times within it
	once     bool          // one turn for each caller
	measured measured
}

// measured is what was seen between the beginning and the end of the measurement.
type measured struct {
	on                      atomic.Bool
	turns, tokens, messages atomic.Int64
	turn, firstToken, delay spread
	mutex                   sync.Mutex
	failures                map[string]int
	lane                    string
}

type turnsResult struct {
	Event      string         `json:"event"`
	Seconds    float64        `json:"seconds"`
	Turns      int64          `json:"turns"`
	Tokens     int64          `json:"tokens"`
	Messages   int64          `json:"messages"`
	Turn       quantiles      `json:"turn_ms"`
	FirstToken quantiles      `json:"first_token_ms"`
	Delay      quantiles      `json:"token_delay_ms"`
	Failures   map[string]int `json:"failures"`
	Lane       string         `json:"lane"`
	CPU        float64        `json:"cpu_seconds"`
}

// runTurns says `begin` when the measurement begins and `end` with the figures as soon as it is over, so that whoever
// started it can look at the CPU of all other processes at these moments.
func runTurns(arguments []string) error {
	flags := flag.NewFlagSet("turns", flag.ExitOnError)
	targets := flags.String("targets", "", "addresses, separated by commas")
	all := flags.Bool("all", false, "each turn asks all targets at once, and not one of them")
	route := flags.String("route", "", "the value of x-lmos-route")
	name := flags.String("agent", "", "the agent to ask for")
	capability := flags.String("capability", "", "the capability to ask for")
	lane := flags.Int("lane", 0, "the lane to ask for, by its number in the contract")
	branches := flags.Int("branches", 0, "how many agents are to work on a turn; 0: one, and no fan-out")
	text := flags.String("text", "", "what to say instead of the work")
	tokens := flags.Int("tokens", 1, "how many tokens an answer has")
	pace := flags.Duration("pace", 0, "the time between two tokens")
	late := flags.String("late", "", "the agent that is to be late")
	lateness := flags.Duration("lateness", 0, "how late its first token is to be")
	callers := flags.Int("callers", 1, "how many ask at the same time")
	once := flags.Bool("once", false, "one turn for each caller, all at once")
	warm := flags.Duration("warm", 500*time.Millisecond, "the time before the measurement")
	seconds := flags.Duration("seconds", 2*time.Second, "the time of the measurement")
	flags.Parse(arguments)

	said := work{*tokens, *pace, *late, *lateness}.text()
	if *text != "" {
		said = *text
	}
	hint := &agent.RouteHint{Agent: *name, Capability: *capability, Lane: agent.Lane(*lane)}
	if *branches > 0 {
		hint.Strategy = &agent.Strategy{Kind: agent.StrategyKind_STRATEGY_KIND_ALL, MaxBranches: int32(*branches)}
	}
	part := &agent.Part{Content: &agent.Part_Text{Text: said}}
	l := &load{all: *all, callers: *callers, route: *route, once: *once, request: &agent.InvokeRequest{
		Message: &agent.Message{Role: agent.Role_ROLE_USER, Parts: []*agent.Part{part}}, RouteHint: hint}}
	if *pace > 0 && !*once {
		l.spread = time.Duration(*tokens) * *pace
	}
	for i := range max(1, min(*callers, mostConnections)) {
		for _, address := range strings.Split(*targets, ",") {
			if i > 0 && *all {
				break
			}
			channel, err := dial(address)
			if err != nil {
				return err
			}
			l.targets = append(l.targets, agent.NewAgentServiceClient(channel))
		}
	}
	say(l.run(*warm, *seconds))
	return nil
}

func (l *load) run(warm, length time.Duration) turnsResult {
	l.measured.failures = map[string]int{}
	ctx, cancel := context.WithCancel(context.Background())
	callers := &sync.WaitGroup{}
	if l.once { // the connections are warm, and nothing else is
		l.turn(ctx, 0, 0)
		warm = 0
	} else {
		warm += l.spread
		callers = l.start(ctx)
	}
	time.Sleep(warm)
	l.measured.on.Store(true)
	say(map[string]string{"event": "begin"})
	began, used := time.Now(), ownCPU()
	if l.once {
		l.start(ctx).Wait()
	} else {
		time.Sleep(length)
	}
	l.measured.on.Store(false)
	result := l.measured.result(time.Since(began), ownCPU()-used)
	cancel()
	callers.Wait()
	return result
}

func (l *load) start(ctx context.Context) *sync.WaitGroup {
	callers := &sync.WaitGroup{}
	for i := range l.callers {
		callers.Add(1)
		go func() {
			defer callers.Done()
			if sleepUntil(ctx, time.Now().Add(l.spread*time.Duration(i)/time.Duration(l.callers))) != nil {
				return
			}
			for turn := 1; ctx.Err() == nil; turn++ {
				l.turn(ctx, i, turn)
				if l.once {
					return
				}
			}
		}()
	}
	return callers
}

// turn runs one turn and notes how it went, if it began within the measurement.
func (l *load) turn(ctx context.Context, caller, number int) {
	began, counted := time.Now(), l.measured.on.Load()
	var err error
	if l.all {
		failures := make(chan error, len(l.targets))
		var first sync.Once
		for _, target := range l.targets {
			go func() { failures <- l.ask(ctx, target, began, counted, &first) }()
		}
		for range l.targets {
			err = errors.Join(err, <-failures)
		}
	} else {
		var first sync.Once
		err = l.ask(ctx, l.targets[caller%len(l.targets)], began, counted, &first)
	}
	if ctx.Err() != nil || !l.measured.on.Load() {
		return
	}
	if err != nil {
		l.measured.failed(err)
		// Whoever is refused at once would ask again at once, and measure nothing but that.
		sleepUntil(ctx, time.Now().Add(10*time.Millisecond))
		return
	}
	l.measured.turns.Add(1)
	if counted {
		l.measured.turn.add(time.Since(began))
	}
}

func (l *load) ask(
	ctx context.Context, target agent.AgentServiceClient, began time.Time, counted bool, first *sync.Once,
) error {
	if l.route != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-lmos-route", l.route)
	}
	request := &agent.InvokeRequest{
		ConversationId: fmt.Sprintf("c-%x", rand.Uint64()), Message: l.request.Message, RouteHint: l.request.RouteHint}
	stream, err := target.Invoke(ctx, request)
	if err != nil {
		return err
	}
	last := agent.Outcome_OUTCOME_UNSPECIFIED
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			l.measured.heard(stream)
			return outcomeError(last)
		}
		if err != nil {
			return err
		}
		now := time.Now()
		if done := response.GetEvent().GetTurnDone(); done != nil {
			last = done.Outcome
		}
		text := response.GetEvent().GetTextDelta().GetText()
		if text != "" && counted {
			first.Do(func() { l.measured.firstToken.add(now.Sub(began)) })
		}
		l.measured.took(text, now)
	}
}

func outcomeError(outcome agent.Outcome) error {
	if outcome != agent.Outcome_OUTCOME_COMPLETED {
		return fmt.Errorf("outcome %s", outcome)
	}
	return nil
}

func (m *measured) took(text string, now time.Time) {
	if !m.on.Load() {
		return
	}
	m.messages.Add(1)
	if text == "" {
		return
	}
	m.tokens.Add(int64(len(text) / stampBytes))
	m.delay.add(delaysIn(text, now)...)
}

func (m *measured) heard(stream grpc.ClientStream) {
	header, err := stream.Header()
	if lane := header.Get("x-lmos-lane"); err == nil && len(lane) > 0 {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		m.lane = lane[0]
	}
}

func (m *measured) failed(err error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.failures[fmt.Sprintf("%s: %.120s", status.Code(err), err)]++
}

func (m *measured) result(length time.Duration, cpu float64) turnsResult {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return turnsResult{
		Event: "end", Seconds: length.Seconds(),
		Turns: m.turns.Load(), Tokens: m.tokens.Load(), Messages: m.messages.Load(),
		Turn: m.turn.milliseconds(), FirstToken: m.firstToken.milliseconds(), Delay: m.delay.milliseconds(),
		Failures: m.failures, Lane: m.lane, CPU: cpu,
	}
}
