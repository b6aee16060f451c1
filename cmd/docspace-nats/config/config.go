// Package config is what an operator can set, by environment variables.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// Config is everything an operator can set. Each field is filled from the one
// environment variable its tag names; its desc is the line of the README table.
//
// Every tag carries the variable's full name: envconfig would read a shorter
// one, such as `envconfig:"URL"` in a group, from a stray variable URL as well.
type Config struct {
	DocSpace DocSpace
	Events   Events
	NATS     NATS
	Poll     Poll
	HTTP     HTTP
	Hints    Hints
	Log      Log
}

// DocSpace says which portal is watched, as whom, and what of it.
type DocSpace struct {
	URL            string  `envconfig:"DOCSPACE_URL" desc:"Address of the portal, such as https://docs.example.com. Required."`
	Formerly       Hosts   `envconfig:"DOCSPACE_FORMERLY" desc:"Hosts the same portal had before, separated by commas, for a stream that was begun under them. A stream of another portal is refused."`
	APIKey         Secret  `envconfig:"DOCSPACE_API_KEY" desc:"API key, or personal access token, of the account that watches (scopes files:read and rooms:read). One kind of credentials is required: a key, a token, or a user name with its password."`
	APIKeyFile     string  `envconfig:"DOCSPACE_API_KEY_FILE" desc:"File that holds the API key; read again when the portal refuses the key or denies it access, so it can be replaced without a restart."`
	Token          Secret  `envconfig:"DOCSPACE_TOKEN" desc:"Session token, instead of an API key."`
	TokenFile      string  `envconfig:"DOCSPACE_TOKEN_FILE" desc:"File that holds the token; read again like the key's."`
	Username       string  `envconfig:"DOCSPACE_USERNAME" desc:"E-mail address to sign in with, instead of an API key. Accounts with two-factor sign-in cannot be used so."`
	Password       Secret  `envconfig:"DOCSPACE_PASSWORD" desc:"Password of DOCSPACE_USERNAME."`
	PasswordFile   string  `envconfig:"DOCSPACE_PASSWORD_FILE" desc:"File that holds the password; read again at every sign-in."`
	Folders        Folders `envconfig:"DOCSPACE_FOLDERS" default:"rooms" desc:"Folder ids to watch, separated by commas, or rooms: every room the account can see, new ones included."`
	Start          Start   `envconfig:"DOCSPACE_START" default:"beginning" desc:"Where a folder without a mark starts: beginning, now, or a time such as 2026-01-31T00:00:00Z."`
	Privacy        string  `envconfig:"DOCSPACE_PRIVACY" default:"standard" desc:"What is published about people: full (ids, names and e-mail addresses), standard (ids and names), pseudonymous (pseudonyms, made with a key) or minimal (pseudonyms, and nothing that people typed). See Personal data."`
	PrivacyKey     Secret  `envconfig:"DOCSPACE_PRIVACY_KEY" desc:"Key of the pseudonyms: base64 of 32 random bytes or more. Required with pseudonymous and minimal; each portal needs its own."`
	PrivacyKeyFile string  `envconfig:"DOCSPACE_PRIVACY_KEY_FILE" desc:"File that holds the key of the pseudonyms; read once, when the program starts."`
	PrivacyKeyID   string  `envconfig:"DOCSPACE_PRIVACY_KEY_ID" desc:"Public name of the key, such as 2026-1, which events carry. Another key needs another."`
}

// NATS says where events and marks are stored.
type NATS struct {
	URL           ServerURL     `envconfig:"NATS_URL" desc:"NATS servers, separated by commas, such as nats://nats:4222. Empty: a server inside this program, with its files in NATS_DATA_DIR."`
	User          string        `envconfig:"NATS_USER" desc:"User for NATS_URL, with NATS_PASSWORD. One kind of credentials, or none: a user, a token, an nkey or a credentials file."`
	Password      Secret        `envconfig:"NATS_PASSWORD" desc:"Password of NATS_USER."`
	PasswordFile  string        `envconfig:"NATS_PASSWORD_FILE" desc:"File that holds the password; read again at every connect, so it can be replaced without a restart."`
	Token         Secret        `envconfig:"NATS_TOKEN" desc:"Token for NATS_URL."`
	TokenFile     string        `envconfig:"NATS_TOKEN_FILE" desc:"File that holds the token; read again like the password's."`
	NKeyFile      string        `envconfig:"NATS_NKEY_FILE" desc:"File that holds the seed of an nkey for NATS_URL. Another key needs a restart."`
	CredsFile     string        `envconfig:"NATS_CREDS_FILE" desc:"Credentials file (JWT and key) for NATS_URL; read again at every connect."`
	TLSCAFile     string        `envconfig:"NATS_TLS_CA_FILE" desc:"Certificates (PEM) that vouch for the NATS server, instead of the system's; read again at every connect, like the next two."`
	TLSCertFile   string        `envconfig:"NATS_TLS_CERT_FILE" desc:"Client certificate (PEM) for NATS; needs NATS_TLS_KEY_FILE."`
	TLSKeyFile    string        `envconfig:"NATS_TLS_KEY_FILE" desc:"Key (PEM) of NATS_TLS_CERT_FILE."`
	TLSFirst      bool          `envconfig:"NATS_TLS_FIRST" default:"false" desc:"true for servers that demand TLS before they say anything (handshake_first)."`
	JSDomain      string        `envconfig:"NATS_JS_DOMAIN" desc:"JetStream domain of the stream, when it is behind a leaf node."`
	InboxPrefix   string        `envconfig:"NATS_INBOX_PREFIX" default:"_INBOX" desc:"First tokens of the subjects on which NATS answers, for users who may subscribe to none but their own."`
	Stream        string        `envconfig:"NATS_STREAM" default:"DOCSPACE" desc:"Stream that holds events and marks; created when absent, never changed when present."`
	SubjectPrefix string        `envconfig:"NATS_SUBJECT_PREFIX" default:"docspace" desc:"First tokens of every subject: <prefix>.folder.<id>.<category>.<action>."`
	Commit        string        `envconfig:"NATS_COMMIT" default:"auto" desc:"How events and marks are stored: atomic (together, needs NATS 2.12 or later), dedup (one by one, for older servers and streams with allow_atomic off; promises less), or auto: atomic where it is possible."`
	MsgID         string        `envconfig:"NATS_MSG_ID" default:"auto" desc:"Which events carry a Nats-Msg-Id: auto (those of dedup commits, which need it) or always, for those who bridge onwards; it costs the server memory."`
	Replicas      int           `envconfig:"NATS_REPLICAS" default:"1" desc:"Copies the NATS cluster keeps of a stream it creates for us, 1 to 5; 3 survives the loss of a server."`
	MaxAge        time.Duration `envconfig:"NATS_MAX_AGE" default:"0s" desc:"How long a created stream keeps events, such as 2160h for 90 days; 0s: for ever. Marks are kept regardless."`
	MaxBytes      int64         `envconfig:"NATS_MAX_BYTES" default:"0" desc:"Size in bytes at which a created stream drops its oldest messages, marks included; 0: no limit. A guard for the disk: prefer NATS_MAX_AGE."`
	DataDir       string        `envconfig:"NATS_DATA_DIR" default:"./data" desc:"Directory of the server inside this program; not used with NATS_URL."`
	DataMaxBytes  int64         `envconfig:"NATS_DATA_MAX_BYTES" default:"0" desc:"Bytes the server inside this program may take on the disk; it stores nothing more then, and drops nothing. 0: three quarters of what is free without it."`
	DataSync      Sync          `envconfig:"NATS_DATA_SYNC" default:"10s" desc:"When the server inside this program makes sure that the disk has everything: always (with every commit, which then takes longer) or at least this often. A power cut costs what came since; the connector stores it again."`
}

// Poll bounds how often and how hard the portal is asked.
type Poll struct {
	MinInterval       time.Duration `envconfig:"POLL_MIN_INTERVAL" default:"5s" desc:"Time between two polls of a folder that just changed; at least 1s."`
	MaxInterval       time.Duration `envconfig:"POLL_MAX_INTERVAL" default:"2m" desc:"Longest time between two polls of a folder, which is left alone for as long as it has been quiet. Where that takes more requests than allowed, folders where something happens go first."`
	RequestsPerMinute int           `envconfig:"POLL_REQUESTS_PER_MINUTE" default:"600" desc:"Most requests to the portal in any minute, all folders and replicas together; a portal allows 1500 per account. 0: no limit."`
	MaxInFlight       int           `envconfig:"POLL_MAX_IN_FLIGHT" default:"8" desc:"Requests of one replica to the portal at the same moment, 1 to 50."`
}

// HTTP says where the program shows its own state.
type HTTP struct {
	Addr string `envconfig:"HTTP_ADDR" default:"127.0.0.1:8080" desc:"Address of /livez, /readyz and /metrics; empty turns them off. The container image listens on 0.0.0.0:8080."`
}

// Hints says where the portal's webhooks are received.
type Hints struct {
	Addr       string `envconfig:"HINTS_ADDR" desc:"Address that receives the portal's webhooks, such as 127.0.0.1:8081; a webhook has its folder polled at once. Empty, which is the default: none are received."`
	Secret     Secret `envconfig:"HINTS_SECRET" desc:"Secret key of the webhook in the portal. Required with HINTS_ADDR."`
	SecretFile string `envconfig:"HINTS_SECRET_FILE" desc:"File that holds the secret key; read again for every hint, so it can be replaced without a restart."`
}

// Log says how the program speaks on standard error.
type Log struct {
	Level  string `envconfig:"LOG_LEVEL" default:"info" desc:"Least level that is logged: debug, info, warn or error."`
	Format string `envconfig:"LOG_FORMAT" default:"auto" desc:"json, text, or auto: text on a terminal, otherwise json."`
}

// Load reads the configuration from the process environment and judges all of
// it. The error joins every *Problem there is, in the order of the README
// table; none of them shows a secret.
func Load() (Config, error) {
	cfg, found := read(os.Environ())
	return cfg, errors.Join(found.and(cfg.problems()).err())
}

// LoadNATS is Load for commands that only need NATS.
func LoadNATS() (NATS, error) {
	cfg, found := read(os.Environ())
	var ours problems
	for _, p := range found {
		if strings.HasPrefix(p.Variable, "NATS_") {
			ours = append(ours, p)
		}
	}
	return cfg.NATS, ours.and(cfg.NATS.problems()).err()
}

// read fills the configuration one variable at a time, because envconfig stops
// at the first value it cannot read and an operator wants to hear of all.
// environ only serves to find unknown names: envconfig itself always looks into
// the process environment.
func read(environ []string) (Config, problems) {
	var cfg Config
	found := unknownVariables(environ)
	for _, s := range settings(&cfg) {
		if err := s.read(); err != nil {
			found.add(s.name, "%s", err)
		}
	}
	cfg.DocSpace.URL = strings.TrimSuffix(cfg.DocSpace.URL, "/")
	return cfg, found
}

// Variables are the names of all settings, in the order of the README table.
func Variables() []string {
	var names []string
	for _, s := range settings(new(Config)) {
		names = append(names, s.name)
	}
	return names
}

// A setting is one field of a Config and the variable that fills it.
type setting struct {
	name  string
	field reflect.StructField
	value reflect.Value
}

// settings lists every setting of cfg in the order of the README table.
func settings(cfg *Config) []setting {
	var all []setting
	for _, group := range reflect.ValueOf(cfg).Elem().Fields() {
		for field, value := range group.Fields() {
			all = append(all, setting{field.Tag.Get("envconfig"), field, value})
		}
	}
	return all
}

// read fills the field from its variable or its default. The error says what
// the value must be; the field is then left at zero.
func (s setting) read() error {
	one := reflect.New(reflect.StructOf([]reflect.StructField{s.field}))
	err := envconfig.Process("", one.Interface())
	if parse, ok := errors.AsType[*envconfig.ParseError](err); ok {
		return errors.New(wanted(parse))
	}
	if err != nil {
		return err
	}
	s.value.Set(one.Elem().Field(0))
	return nil
}

// wanted turns envconfig's complaint, which speaks of Go types, into what the
// operator should write.
func wanted(e *envconfig.ParseError) string {
	switch e.TypeName {
	case "time.Duration":
		return fmt.Sprintf("must be a duration with its unit, such as 5s, 2m or 24h, got %s", Shown(e.Value))
	case "bool":
		return fmt.Sprintf("must be true or false, got %s", Shown(e.Value))
	case "int", "int64":
		return fmt.Sprintf("must be a whole number, got %s", Shown(e.Value))
	}
	return e.Err.Error()
}
