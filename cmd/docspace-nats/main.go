// Command docspace-nats turns the activity of an ONLYOFFICE DocSpace portal
// into a NATS JetStream stream: every action in the watched folders becomes
// one event, stored once and in order.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration is wrong
)

// gcPercent lets the heap grow to three times what lives in it before it is
// collected. What lives is a few commits' worth of rows, so this costs some
// tens of megabytes and saves a quarter of the processor time of a backfill.
// GOGC overrides it.
const gcPercent = 200

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// The first signal asks to stop, the second kills.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs a command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(stderr, err)
	}
	if usage := new(usageError); errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "docspace-nats",
		Short: "Every action in your DocSpace rooms, as an event on NATS JetStream",
		Long: `docspace-nats watches folders of an ONLYOFFICE DocSpace portal and stores every
action in them as one JSON event on NATS JetStream, once and in order.

See it work without a portal:   docspace-nats demo
Check a configuration:          docspace-nats check
Watch a portal:                 docspace-nats run

Settings are environment variables; docspace-nats run --help lists them.`,
		Example: `  docspace-nats demo --for 10s
  DOCSPACE_URL=https://docs.example.com DOCSPACE_API_KEY_FILE=key.txt docspace-nats check
  DOCSPACE_URL=https://docs.example.com DOCSPACE_API_KEY_FILE=key.txt docspace-nats run
  docspace-nats tail --from 1h`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(), demoCommand(), checkCommand(), statusCommand(), tailCommand(), replayCommand(),
		backfillCommand(), verifyCommand(), checkpointCommand(), schemaCommand(), versionCommand())
	return root
}

// errReported ends a command that has told its user what failed.
var errReported = errors.New("failed")

// A usageError is a mistake in the command line or in the configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func knownCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q; see docspace-nats --help", args[0])
	}
	return nil
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, got %q; see %[1]s --help", cmd.CommandPath(), args[0])
	}
	return nil
}
