package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryCommandHasExamplesWhoseFlagsExist(t *testing.T) {
	t.Parallel()
	root := rootCommand()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" {
			t.Errorf("%s --help shows no example", cmd.CommandPath())
		}
		for example := range strings.Lines(cmd.Example) {
			shell, _, _ := strings.Cut(example, " | ")
			_, line, _ := strings.Cut(shell, "docspace-nats ")
			meant, args, err := root.Find(strings.Fields(line))
			if err != nil || !strings.HasPrefix(meant.CommandPath(), cmd.CommandPath()) {
				t.Errorf("%s shows %q: %v", cmd.CommandPath(), example, err)
				continue
			}
			for _, arg := range args {
				name, long := strings.CutPrefix(arg, "--")
				if name, _, _ = strings.Cut(name, "="); long && meant.Flags().Lookup(name) == nil {
					t.Errorf("%s has no flag %s: %q", meant.CommandPath(), arg, example)
				}
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
