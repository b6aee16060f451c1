package main

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/spf13/cobra"
)

// Every command, groups of commands too, has a script in which its help is
// read, one in which it succeeds and one in which it fails, and something is
// said of what each printed. With a flag --json it succeeds and fails with it
// as well, by the script commands json and exits, which look at all of stdout.
func TestEveryCommandIsScriptedWithHelpSuccessFailureAndJSON(t *testing.T) {
	t.Parallel()
	root := rootCommand()
	held := make(map[string]bool) // command path and what is held of it
	for _, file := range scriptFiles(t) {
		lines := scriptLines(t, file)
		for i, line := range lines {
			call, is := parseCall(root, line)
			if !is {
				continue
			}
			if call.with("--json") && call.verb == "exec" {
				t.Errorf("%s: %q: nobody looks whether all of stdout is JSON; write json instead of exec", filepath.Base(file), line)
			}
			if i+1 < len(lines) && asserts(lines[i+1]) {
				held[call.command.CommandPath()+call.shows()] = true
			}
		}
	}
	for _, cmd := range commands(root) {
		need := []string{" --help", "", " fails"}
		if cmd.Flags().Lookup("json") != nil {
			need = append(need, " --json", " --json fails")
		}
		for _, shows := range need {
			if !held[cmd.CommandPath()+shows] {
				t.Errorf("no script holds: %s%s", cmd.CommandPath(), shows)
			}
		}
	}
}

// commands are a command and all below it.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		all = append(all, commands(c)...)
	}
	return all
}

func scriptFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return files
}

// scriptLines are the lines of a script that do something.
func scriptLines(t *testing.T, file string) []string {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(archive.Comment)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// A call is a line that runs the program.
type call struct {
	verb    string // exec, json or exits
	command *cobra.Command
	args    []string // all of them
	fails   bool
}

func parseCall(root *cobra.Command, line string) (call, bool) {
	before, after, is := strings.Cut(line, " docspace-nats")
	fields := strings.Fields(before)
	if len(fields) > 0 && strings.HasPrefix(fields[0], "[") {
		fields = fields[1:] // a condition
	}
	if !is || len(fields) == 0 {
		return call{}, false
	}
	c := call{verb: fields[0], args: strings.Fields(after), fails: fields[0] == "exits"}
	command, _, err := root.Find(c.args)
	c.command = command
	return c, err == nil && (c.verb == "exec" || c.verb == "json" || c.verb == "exits")
}

func (c call) with(flag string) bool {
	for _, arg := range c.args {
		if arg == flag {
			return true
		}
	}
	return false
}

// shows is what of the command the call shows.
func (c call) shows() (what string) {
	if c.with("--help") {
		return " --help"
	}
	if c.with("--json") {
		what = " --json"
	}
	if c.fails {
		what += " fails"
	}
	return what
}

// asserts reports whether a line says something of what the call before it did.
func asserts(line string) bool {
	verb := strings.Fields(strings.TrimPrefix(line, "! "))[0]
	switch verb {
	case "stdout", "stderr", "cmp", "stored", "grep":
		return true
	}
	return false
}

// jsonScript is exec, and stdout must be one JSON value and nothing else.
func jsonScript(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec(args[0], args[1:]...))
	n, err := countJSON(ts.ReadFile("stdout"))
	ts.Check(err)
	if n != 1 {
		ts.Fatalf("%d JSON values on stdout, want one", n)
	}
}

// exitsScript runs a command that ends with a code. With --json it prints one
// JSON value or nothing, also when it fails.
func exitsScript(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := args[0]; fmt.Sprint(got) != want {
		ts.Fatalf("%s ended with %d, want %s", strings.Join(args[1:], " "), got, want)
	}
	if !(call{args: args}).with("--json") {
		return
	}
	n, err := countJSON(ts.ReadFile("stdout"))
	ts.Check(err)
	if n > 1 {
		ts.Fatalf("%d JSON values on stdout, want one at most", n)
	}
}

// countJSON returns how many JSON values a text is made of.
func countJSON(text string) (n int, err error) {
	decoder := jsontext.NewDecoder(strings.NewReader(text))
	for {
		_, err := decoder.ReadValue()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("stdout is not JSON: %w: %.200q", err, text)
		}
		n++
	}
}
