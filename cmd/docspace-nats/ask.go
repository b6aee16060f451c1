package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// errDeclined ends a command whose user did not agree.
var errDeclined = errors.New("nothing was changed")

// consent returns nil when the question may be taken for answered with yes: --yes
// was given, or somebody at the terminal says so.
func consent(cmd *cobra.Command, yes bool, question string) error {
	switch {
	case yes:
		return nil
	case !isTerminal(cmd.InOrStdin()):
		return usagef("--yes: must be given where standard input is no terminal and nobody can be asked: %s", question)
	case !agreed(cmd.Context(), readAnswers(cmd.InOrStdin()), cmd.ErrOrStderr(), question):
		return errDeclined
	}
	return nil
}

// longestAnswer bounds what is read of all answers together.
const longestAnswer = 1 << 16

// readAnswers is where somebody answers who is asked more than once.
func readAnswers(in io.Reader) *bufio.Reader {
	return bufio.NewReader(io.LimitReader(in, longestAnswer))
}

// agreed asks somebody at a terminal, and reports whether the answer is yes. An
// interrupt is a no.
func agreed(ctx context.Context, answers *bufio.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := answers.ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes"
	}
}
