package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/publisher/natstest"
)

var consumerTools = flag.String("consumers", "", "directory with nats and node_modules, made by make consumers, for the examples that need more than Go; without it they are skipped")

var consumeDir = filepath.Join(deployDir, "consume")

// An audience is a portal, its connector, and a server with the users of
// deploy/nats, of whom reader runs the examples of the page for consumers.
type audience struct {
	*stage
	url      string
	examples map[string]string // code blocks by name
}

func newAudience(t *testing.T) *audience {
	t.Helper()
	url := natsServer(t)
	a := &audience{stage: newStage(t, url, "DOCSPACE"), url: url, examples: make(map[string]string)}
	block := regexp.MustCompile("(?s)<!-- example: ([a-z ]+) -->\n```[a-z]+\n(.*?)```\n")
	for _, example := range block.FindAllStringSubmatch(readFile(t, filepath.Join(consumeDir, "README.md")), -1) {
		a.examples[example[1]] = example[2]
	}
	a.cfg.NATS.SubjectPrefix = "docspace"
	a.cfg.NATS.User, a.cfg.NATS.Password, a.cfg.NATS.InboxPrefix = "connector", config.Secret(natsPasswords["connector"]), "_INBOX_connector"
	nc, err := nats.Connect(url, nats.UserInfo("operator", natsPasswords["operator"]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if a.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	a.watch()
	if a.stream, err = a.js.Stream(t.Context(), "DOCSPACE"); err != nil {
		t.Fatal(err)
	}
	return a
}

// store has the connector store an upload of this title.
func (a *audience) store(title string) {
	a.t.Helper()
	a.now.Store(time.Now().Unix())
	a.portal.Upload(nil, a.rooms["Sales"], title)
	a.watch()
}

// example is a code block of the page, in which one text is another.
func (a *audience) example(name, old, new string) string {
	a.t.Helper()
	text, found := a.examples[name]
	if !found || !strings.Contains(text, old) {
		a.t.Fatalf("deploy/consume/README.md has no example %q with %q in it", name, old)
	}
	return strings.ReplaceAll(text, old, new)
}

// A show is an example that runs.
type show struct {
	*process
	a   *audience
	out logBuffer
}

func (a *audience) run(cmd *exec.Cmd) *show {
	a.t.Helper()
	s := &show{a: a}
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	s.process = start(a.t, cmd, "HOME="+a.t.TempDir(), "NATS_URL="+a.url, "NATS_USER=reader", "NATS_PASSWORD="+natsPasswords["reader"])
	return s
}

func (s *show) tells(title string) bool { return strings.Contains(s.out.String(), title) }

// until looks until something is so.
func (s *show) until(what string, so func() bool) {
	s.a.t.Helper()
	natstest.Eventually(s.a.t, what, so, &s.out)
}

// shows holds that the example tells of one upload and not of another, and ends it.
func (s *show) shows(title, not string) {
	s.a.t.Helper()
	s.until("it tells of "+title, func() bool { return s.tells(title) })
	if not != "" && s.tells(not) {
		s.a.t.Errorf("it tells of %s, too\n%s", not, s.out.String())
	}
	s.kill()
}

// consumers are the names of those the stream has.
func (a *audience) consumers() map[string]bool {
	a.t.Helper()
	has := make(map[string]bool)
	list := a.stream.ConsumerNames(a.t.Context())
	for name := range list.Name() {
		has[name] = true
	}
	if err := list.Err(); err != nil {
		a.t.Fatal(err)
	}
	return has
}

// another reports whether the stream has one that it did not have. Their number
// does not tell: those of programs that have ended go meanwhile.
func (a *audience) another(before map[string]bool) bool {
	a.t.Helper()
	for name := range a.consumers() {
		if !before[name] {
			return true
		}
	}
	return false
}

// siem is the durable consumer of the examples.
func (a *audience) siem() *jetstream.ConsumerInfo {
	a.t.Helper()
	consumer, err := a.stream.Consumer(a.t.Context(), "siem")
	if err != nil {
		a.t.Fatal(err)
	}
	return consumer.CachedInfo()
}

// wantSafe holds that the durable consumer loses nothing whatever happens to
// its program.
func (a *audience) wantSafe() {
	a.t.Helper()
	c := a.siem().Config
	if c.AckPolicy != jetstream.AckExplicitPolicy || c.MaxDeliver != -1 || c.AckWait != 2*time.Minute || c.MaxAckPending != 1000 ||
		c.DeliverPolicy != jetstream.DeliverAllPolicy || c.FilterSubject != "docspace.folder.>" {
		a.t.Errorf("the consumer is %+v", c)
	}
}

func TestTheGoExamplesForConsumersReadWhatTheySay(t *testing.T) {
	t.Parallel()
	holdProgram(t, func(a *audience, way string, since time.Time) *exec.Cmd {
		t := a.t
		dir := t.TempDir()
		text := a.example("go program", "\t// consumer, err := … one of the three\n", a.example("go "+way, "", ""))
		const written = "time.Date(2026, 9, 21, 0, 0, 0, 0, time.UTC)"
		if !strings.Contains(text, written) {
			t.Fatalf("no %s in\n%s", written, text)
		}
		text = strings.ReplaceAll(text, written, fmt.Sprintf("time.Unix(0, %d)", since.UnixNano()))
		module := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(readFile(t, filepath.Join(repositoryDir, "go.mod")), "module example")
		for file, content := range map[string]string{"main.go": text, "go.mod": module, "go.sum": readFile(t, filepath.Join(repositoryDir, "go.sum"))} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", "example", ".")
		build.Dir = dir
		build.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s\n%s", err, out, text)
		}
		return exec.Command(filepath.Join(dir, "example"))
	})
}

func TestTheJavaScriptExamplesForConsumersReadWhatTheySay(t *testing.T) {
	t.Parallel()
	modules := tool(t, "node_modules")
	holdProgram(t, func(a *audience, way string, since time.Time) *exec.Cmd {
		t := a.t
		text := a.example("js program", "// const consumer = … one of the three\n", a.example("js "+way, "", ""))
		const written = "2026-09-21T00:00:00Z"
		if !strings.Contains(text, written) {
			t.Fatalf("no %s in\n%s", written, text)
		}
		dir := t.TempDir()
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, written, since.UTC().Format("2006-01-02T15:04:05.000Z"))
		if err := os.WriteFile(filepath.Join(dir, "read.mjs"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return exec.Command("node", filepath.Join(dir, "read.mjs"))
	})
}

// holdProgram runs the three ways in which the page reads with a program.
func holdProgram(t *testing.T, program func(a *audience, way string, since time.Time) *exec.Cmd) {
	t.Helper()
	a := newAudience(t)
	a.store("Yesterday.docx")
	boundary := time.Now().Truncate(time.Millisecond).Add(time.Millisecond) // JavaScript knows no less
	a.store("Today.docx")
	a.run(program(a, "since", boundary)).shows("Today.docx", "Yesterday.docx")

	newest := program(a, "latest", boundary)
	before := a.consumers()
	latest := a.run(newest)
	latest.until("it has a consumer", func() bool { return a.another(before) })
	a.store("Now.docx")
	latest.shows("Now.docx", "Today.docx")

	durable := program(a, "durable", boundary)
	first := a.run(durable)
	first.until("everything is acknowledged", func() bool { return first.tells("Now.docx") && a.siem().NumPending == 0 && a.siem().NumAckPending == 0 })
	first.shows("Yesterday.docx", "")
	a.wantSafe()
	a.store("Later.docx")
	a.run(exec.Command(durable.Path, durable.Args[1:]...)).shows("Later.docx", "Now.docx")
}

func TestTheCommandLineExamplesForConsumersReadWhatTheySay(t *testing.T) {
	t.Parallel()
	program := tool(t, "nats")
	a := newAudience(t)
	shell := func(text string) *exec.Cmd {
		return exec.Command("sh", "-c", "nats() { exec '"+program+"' \"$@\"; }\n"+text)
	}
	a.store("Today.docx")
	a.run(shell(a.example("nats since", "24h", "24h"))).shows("Today.docx", "")

	before := a.consumers()
	latest := a.run(shell(a.example("nats latest", "", "")))
	latest.until("it has a consumer", func() bool { return a.another(before) })
	a.store("Now.docx")
	latest.shows("Now.docx", "Today.docx")

	before = a.consumers()
	none := a.run(shell(a.example("nats since", "24h", "1ms")))
	none.until("it has a consumer", func() bool { return a.another(before) })
	a.store("Later.docx")
	none.shows("Later.docx", "Now.docx")

	folder := a.run(shell(a.example("nats folder", "1204", strconv.Itoa(a.rooms["Legal"]))))
	folder.shows("room.created", "Today.docx")
	a.portal.CreateLink(nil, a.rooms["Sales"], "Auditors", "Viewer")
	a.watch()
	a.run(shell(a.example("nats action", "", ""))).shows("Auditors", "Today.docx")

	add, next, _ := strings.Cut(a.example("nats durable", "", ""), "\n")
	added := a.run(shell(add))
	<-added.ended
	if added.err != nil {
		t.Fatalf("%s: %v\n%s", add, added.err, added.out.String())
	}
	a.wantSafe()
	page := readFile(t, filepath.Join(consumeDir, "README.md"))
	for _, question := range []string{"nats stream info DOCSPACE", "nats consumer info DOCSPACE siem"} {
		asked := a.run(shell(question))
		<-asked.ended
		if asked.err != nil || !strings.Contains(page, "`"+question+"`") {
			t.Errorf("%s, as the page says: %v\n%s", question, asked.err, asked.out.String())
		}
	}
	taken := a.run(shell(next))
	<-taken.ended
	if taken.err != nil {
		t.Errorf("%v\n%s", taken.err, taken.out.String())
	}
	taken.until("100 are acknowledged", func() bool { c := a.siem(); return c.AckFloor.Consumer == 100 && c.NumAckPending == 0 })
	rest := a.run(shell(next)) // fewer than 100: the page says that it ends with an error
	<-rest.ended
	if rest.err == nil || !rest.tells("Auditors") || rest.tells(`"Offer 0.docx"`) {
		t.Errorf("%v\n%s", rest.err, rest.out.String())
	}
	rest.until("none is left", func() bool { c := a.siem(); return c.NumPending == 0 && c.NumAckPending == 0 })
}

// tool is the path of what make consumers installs; without it the test is
// skipped.
func tool(t *testing.T, name string) string {
	t.Helper()
	if *consumerTools == "" {
		t.Skipf("needs %s: make consumers runs this", name)
	}
	path, err := filepath.Abs(filepath.Join(*consumerTools, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make consumers", err)
	}
	return path
}
