// Command load is both ends of the benchmark, compiled so that neither is the ceiling: agents that answer, and callers
// that ask and measure. Each subcommand prints JSON lines and ends when its standard input is closed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
)

var commands = map[string]func(arguments []string) error{
	"agents":   serveAgents,
	"turns":    runTurns,
	"churn":    churn,
	"cancel":   cancelTurns,
	"sessions": holdSessions,
	"talk":     talkInSessions,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load agents|turns|churn|cancel|sessions|talk [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

var printing sync.Mutex

// say prints one JSON line, at once.
func say(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// waitForEnd returns when whoever started us closed our standard input, or is gone.
func waitForEnd() {
	io.Copy(io.Discard, os.Stdin)
}
