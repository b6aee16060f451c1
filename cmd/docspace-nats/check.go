package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

func checkCommand() *cobra.Command {
	var asJSON, fix bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Prove, before starting, that the promise can be kept",
		Long: `check looks at everything run depends on and changes nothing: the settings, the
portal and what the account may do, each folder, the request budget, the NATS
server and its streams. It prints a line for each, with what to do about those
that are not fine.

With --fix it creates the streams that are absent, as run would. What exists it
never changes: the settings of a stream are its owner's.

Exit status: 0 when run can start, 1 when something would keep it from its
work, 2 when a setting is wrong.`,
		Example: `  docspace-nats check
  docspace-nats check --fix
  docspace-nats check --json | jq '.[] | select(.verdict == "failed")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load()
			if err != nil {
				return &usageError{err}
			}
			privacy, err := cfg.DocSpace.ReadPrivacy()
			if err != nil {
				return &usageError{err}
			}
			c := &checker{cfg: cfg, privacy: privacy, fix: fix}
			c.all(cmd.Context())
			return c.print(cmd.OutOrStdout(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	cmd.Flags().BoolVar(&fix, "fix", false, "create the streams that are absent")
	return cmd
}

// Verdicts of a check.
const (
	fine    = "ok"
	created = "created" // by --fix
	warning = "warning"
	broken  = "failed"
	skipped = "skipped" // another check has to be fine first
)

// checkPatience is how long a call to the portal repeats itself. Who waits for
// an answer at a terminal wants the reason.
const checkPatience = 3 * time.Second

// A finding is the outcome of one check.
type finding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"` // what was found, and what to do about it
}

// A checker collects findings, in the order they were made.
type checker struct {
	cfg      config.Config
	privacy  schema.Privacy
	fix      bool
	portal   *docspace.Client
	findings []finding
	misset   bool // a setting is to blame

	listeners []net.Listener // at the addresses that are free, until all are tried
}

func (c *checker) say(check, verdict, format string, args ...any) {
	c.findings = append(c.findings, finding{check, verdict, fmt.Sprintf(format, args...)})
}

func (c *checker) all(ctx context.Context) {
	c.say("settings", fine, "all are understood")
	for _, text := range c.cfg.Warnings() {
		c.say("settings", warning, "%s", text)
	}
	if text := c.cfg.Events.Describe(); text != "" {
		c.say("events", fine, "%s", text)
	}
	c.people()
	if c.reach(ctx) && c.admitted(ctx) {
		c.folders(ctx)
	} else {
		c.say("folders", skipped, "the portal has to answer and to accept the credentials first")
	}
	c.nats(ctx)
	c.address("HTTP_ADDR", c.cfg.HTTP.Addr, "/livez, /readyz and /metrics")
	c.address("HINTS_ADDR", c.cfg.Hints.Addr, "hints")
	for _, l := range c.listeners {
		_ = l.Close()
	}
}

// people says what readers of the stream learn about people.
func (c *checker) people() {
	texts := map[string]string{
		schema.Standard.String(): "ids and names, no e-mail addresses",
		schema.Full.String():     "ids, names and e-mail addresses",
		"pseudonymous":           "pseudonyms of ids, names and e-mail addresses; titles as they are",
		"minimal":                "pseudonyms of ids; no names, titles, labels and tags",
	}
	text := c.privacy.String() + ": events carry " + texts[c.privacy.String()]
	if pii := c.privacy.PII(); pii != nil {
		text += "; the key is " + pii.KeyID + ", and whoever has it can tell who is who"
	}
	c.say("privacy", fine, "%s", text)
}

// reach asks for what anybody may know.
func (c *checker) reach(ctx context.Context) bool {
	var err error
	if c.portal, err = newPortal(c.cfg, c.privacy, checkPatience, nil); err != nil {
		c.say("portal", broken, "%v", err)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	version, err := c.portal.Version(ctx)
	if err != nil {
		c.say("portal", broken, "%v; is DOCSPACE_URL the address of the portal?", err)
		return false
	}
	c.say("portal", fine, "%s answers, DocSpace %s", c.cfg.DocSpace.URL, version)
	return true
}

// admitted finds out who asks, and whether the key's scopes suffice.
func (c *checker) admitted(ctx context.Context) bool {
	key, err := c.portal.Key(ctx)
	switch {
	case errors.Is(err, docspace.ErrNotKey), isNotFound(err): // a token, or a portal before 3.1, which has no keys
		return c.signedIn(ctx)
	case errors.Is(err, docspace.ErrUnauthorized):
		c.say("credentials", broken, "the portal refuses %s; create an API key under Developer tools, or check that it is not expired or disabled", c.cfg.DocSpace.CredentialName())
		return false
	case err != nil:
		c.say("credentials", broken, "%v", err)
		return false
	}
	good := true
	for _, scope := range c.scopes() {
		if !key.Permits(scope) {
			c.say("credentials", broken, "the API key lacks the scope %s; create one that has it", scope)
			good = false
		}
	}
	if !good {
		return false
	}
	if left := time.Until(key.Expires); !key.Expires.IsZero() && left < 30*24*time.Hour {
		c.say("credentials", warning, "the API key expires on %s; replace it before", key.Expires.Format(time.DateOnly))
		return true
	}
	c.say("credentials", fine, "the API key is accepted and has the scopes %s", strings.Join(c.scopes(), " and "))
	return true
}

// isNotFound reports whether there is no such object, or no such address.
func isNotFound(err error) bool {
	status := new(docspace.StatusError)
	return errors.As(err, &status) && status.Code == http.StatusNotFound
}

func (c *checker) signedIn(ctx context.Context) bool {
	account, err := c.portal.Self(ctx)
	switch {
	case errors.Is(err, docspace.ErrUnauthorized) && c.cfg.DocSpace.HasAPIKey():
		c.say("credentials", broken, "%s: %v; portals before 3.1 take no API keys, but a user name with a password", c.cfg.DocSpace.CredentialName(), err)
		return false
	case errors.Is(err, docspace.ErrUnauthorized):
		c.say("credentials", broken, "%s: %v", c.cfg.DocSpace.CredentialName(), err)
		return false
	case errors.Is(err, docspace.ErrScope):
		c.say("credentials", fine, "accepted")
		return true
	case err != nil:
		c.say("credentials", broken, "%v", err)
		return false
	case !account.Admin && !account.Owner && c.cfg.DocSpace.Folders.Rooms():
		c.say("credentials", warning, "the account is no administrator and sees only its own rooms")
		return true
	}
	c.say("credentials", fine, "signed in")
	return true
}

// refused names the setting of credentials that the portal refuses.
func refused(account config.DocSpace, err error) error {
	if !errors.Is(err, docspace.ErrUnauthorized) {
		return err
	}
	return fmt.Errorf("the portal refuses %s: %w", account.CredentialName(), err)
}

func (c *checker) scopes() []string {
	if c.cfg.DocSpace.Folders.Rooms() {
		return []string{"files:read", "rooms:read"}
	}
	return []string{"files:read"}
}

// folders looks at each folder that would be watched, and at the first log
// that has rows.
func (c *checker) folders(ctx context.Context) {
	folders, ok := c.watched(ctx)
	if !ok {
		return
	}
	ids, unreadable := false, 0
	for _, folder := range folders {
		page, err := c.portal.History(ctx, folder, docspace.Query{Count: 1})
		switch {
		case ctx.Err() != nil:
			c.say("folders", skipped, "interrupted")
			return
		case errors.Is(err, docspace.ErrScope):
			c.say("folder", broken, "the credentials lack the scope files:read")
			return
		case err != nil && !errors.Is(err, docspace.ErrForbidden) && !errors.Is(err, docspace.ErrNotFound):
			unreadable++
			c.say("folder", broken, "%v", err)
		case err != nil:
			unreadable++
			c.say("folder", broken, "%v; give the account access, or leave the folder out of DOCSPACE_FOLDERS", err)
		case len(page.Entries) > 0 && !ids:
			ids = true
			if page.Entries[0].ID <= 0 && !c.newEnough(ctx, folder) {
				return
			}
		}
	}
	if unreadable == 0 {
		c.say("folders", fine, "%d can be read", len(folders))
	}
	c.budget(len(folders))
}

// newEnough judges a portal that shows rows without ids, by what it does: the
// version it claims may be any.
func (c *checker) newEnough(ctx context.Context, folder int) bool {
	ignored, err := c.portal.IgnoresDates(ctx, folder)
	switch {
	case err != nil:
		c.say("rows", broken, "%v", err)
		return false
	case ignored:
		c.say("rows", broken, "%v", poller.ErrTooOld)
		return false
	}
	c.say("rows", warning, "the portal shows no row ids, as DocSpace 3.0 to 3.5 do: order is by date, and rows are told apart by their content; "+
		"upgrade it to 3.6 or later for the full promise")
	if c.privacy.Hides() {
		c.say("privacy", warning, "the ids of events are made from the content of rows, titles and names of savers included, and who guesses those can tell that the guess is right; "+
			"only a portal of 3.6 or later has row ids that tell nothing")
	}
	return true
}

// watched returns the folders run would watch.
func (c *checker) watched(ctx context.Context) ([]int, bool) {
	if c.cfg.DocSpace.Folders.Rooms() {
		return c.rooms(ctx)
	}
	var ids []int
	for _, id := range c.cfg.DocSpace.Folders {
		folder, err := c.portal.Folder(ctx, id)
		switch {
		case errors.Is(err, docspace.ErrNotFound):
			c.say("folder", broken, "folder %d does not exist; correct DOCSPACE_FOLDERS", id)
		case err == nil && folder.ParentID == 0:
			c.misset = true
			c.say("folder", broken, "DOCSPACE_FOLDERS: %v", &poller.RootFolderError{ID: id, Title: folder.Title})
		case err != nil:
			c.say("folder", broken, "%v", err)
		default:
			ids = append(ids, id)
		}
	}
	return ids, len(ids) > 0
}

func (c *checker) rooms(ctx context.Context) ([]int, bool) {
	rooms, err := c.portal.Rooms(ctx)
	switch {
	case errors.Is(err, docspace.ErrForbidden):
		c.say("rooms", broken, "the rooms cannot be listed: the credentials lack the scope rooms:read")
		return nil, false
	case err != nil:
		c.say("rooms", broken, "%v", err)
		return nil, false
	case len(rooms) == 0:
		c.say("rooms", warning, "the account sees no room yet; new ones are picked up")
		return nil, false
	}
	ids := make([]int, len(rooms))
	for i, room := range rooms {
		ids[i] = room.ID
	}
	return ids, true
}

// budget compares what idle folders cost with what may be asked.
func (c *checker) budget(folders int) {
	limit := c.cfg.Poll.RequestsPerMinute
	need := float64(folders) * float64(time.Minute) / float64(c.cfg.Poll.MaxInterval)
	switch {
	case limit == 0:
		c.say("budget", fine, "%d idle folders cost %.0f requests a minute; there is no limit", folders, need)
	case need > float64(limit)*0.8:
		c.say("budget", warning, "%d idle folders cost %.0f requests a minute of %d; raise POLL_MAX_INTERVAL or POLL_REQUESTS_PER_MINUTE", folders, need, limit)
	default:
		c.say("budget", fine, "%d idle folders cost %.0f requests a minute of %d", folders, need, limit)
	}
}

func (c *checker) nats(ctx context.Context) {
	if c.cfg.NATS.URL == "" {
		c.directory()
		return
	}
	nc, err := publisher.Connect(ctx, connectOptions(c.cfg.NATS))
	if err != nil {
		c.say("nats", broken, "%v", err)
		return
	}
	defer nc.Close()
	c.say("nats", fine, "connected to nats-server %s", nc.ConnectedServerVersion())
	is, err := publisher.Inspect(ctx, nc, streamOptions(c.cfg.NATS), c.fix)
	for _, name := range is.Created {
		c.say("stream", created, "%s", name)
	}
	verdicts := map[publisher.Severity]string{publisher.Broken: broken, publisher.Warning: warning, publisher.Note: fine}
	for _, f := range is.Findings {
		c.say("stream", verdicts[f.Severity], "%s: %s", c.cfg.NATS.Stream, f)
	}
	switch {
	case err != nil:
		c.say("stream", broken, "%v", err)
	case is.Findings.Err() != nil:
	case is.Mode == publisher.Atomic:
		c.say("stream", fine, "%s can hold the promise: %s", c.cfg.NATS.Stream, is.Mode.Promise())
	default:
		c.say("stream", warning, "%s can hold less than the full promise: %s", c.cfg.NATS.Stream, is.Mode.Promise())
	}
}

// directory tries what the embedded server will do.
func (c *checker) directory() {
	dir := c.cfg.NATS.DataDir
	if err := publisher.LocalUsable(dir); err != nil {
		c.say("nats", broken, "embedded server: NATS_DATA_DIR: %v", err)
		return
	}
	c.say("nats", fine, "embedded server with its files in %s; run starts it and creates its streams", dir)
}

// address tries an address that run will listen on.
func (c *checker) address(variable, addr, serves string) {
	if addr == "" {
		return
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		c.say("address", broken, "%s: %v; choose another address, or stop what listens there if that is not this program's own run", variable, err)
		return
	}
	c.listeners = append(c.listeners, listener) // the next address must be free beside it
	c.say("address", fine, "%s is free for %s", addr, serves)
}

// print shows the findings and says by its error whether run can start.
func (c *checker) print(w io.Writer, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(c.findings, jsontext.WithIndent("  "))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n", text)
	} else {
		for _, f := range c.findings {
			fmt.Fprintf(w, "%-8s %-12s %s\n", f.Verdict, f.Check, f.Text)
		}
	}
	switch {
	case c.misset:
		return &usageError{errReported}
	case slices.ContainsFunc(c.findings, func(f finding) bool { return f.Verdict == broken }):
		return errReported
	}
	return nil
}
