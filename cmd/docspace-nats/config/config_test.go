package config

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// childVariable makes a test process load the configuration and print it.
const childVariable = "CONFIG_TEST_CHILD"

// TestLoadInChild is no test of its own: envconfig reads the environment of
// the process, so each case below that loads one runs in a process of its own.
func TestLoadInChild(t *testing.T) {
	t.Parallel()
	if os.Getenv(childVariable) == "" {
		return
	}
	cfg, err := Load()
	fmt.Printf("%+v\n", cfg)
	fmt.Fprint(os.Stderr, err)
	os.Exit(0)
}

// loadInChild returns what a process with exactly this environment makes of it.
func loadInChild(t *testing.T, environ ...string) (config, problems string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLoadInChild$")
	child.Env = append(environ, childVariable+"=1")
	var out, errs strings.Builder
	child.Stdout, child.Stderr = &out, &errs
	if err := child.Run(); err != nil {
		t.Fatalf("load in a child process: %v\n%s", err, errs.String())
	}
	return out.String(), errs.String()
}

func TestTwoVariablesAreEnough(t *testing.T) {
	t.Parallel()
	got, problems := loadInChild(t, "DOCSPACE_URL=https://docs.example.com/", "DOCSPACE_API_KEY=sk-hunter2")
	if problems != "<nil>" {
		t.Fatalf("problems: %s", problems)
	}
	want := "{DocSpace:{URL:https://docs.example.com Formerly: APIKey:[hidden] APIKeyFile: Token:[hidden] TokenFile: Username: Password:[hidden] PasswordFile: Folders:rooms Start:beginning Privacy:standard PrivacyKey:[hidden] PrivacyKeyFile: PrivacyKeyID:} Events:{Include: Exclude: SchemaBase:} " +
		"NATS:{URL: User: Password:[hidden] PasswordFile: Token:[hidden] TokenFile: NKeyFile: CredsFile: TLSCAFile: TLSCertFile: TLSKeyFile: TLSFirst:false JSDomain: InboxPrefix:_INBOX " +
		"Stream:DOCSPACE SubjectPrefix:docspace Commit:auto MsgID:auto Replicas:1 MaxAge:0s MaxBytes:0 DataDir:./data DataMaxBytes:0 DataSync:10s} " +
		"Poll:{MinInterval:5s MaxInterval:2m0s RequestsPerMinute:600 MaxInFlight:8} HTTP:{Addr:127.0.0.1:8080} Hints:{Addr: Secret:[hidden] SecretFile:} Log:{Level:info Format:auto}}\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestEveryVariableReachesItsField(t *testing.T) {
	t.Parallel()
	pem := writeFile(t, "some.pem", "pem")
	got, problems := loadInChild(t,
		"DOCSPACE_URL=http://localhost:8092", "DOCSPACE_USERNAME=a@example.com", "DOCSPACE_PASSWORD_FILE="+writeFile(t, "password", "hunter2\n"),
		"DOCSPACE_FOLDERS=12, 2147483647", "DOCSPACE_START=2026-01-31T01:00:00+01:00", "DOCSPACE_PRIVACY=pseudonymous", "DOCSPACE_PRIVACY_KEY_ID=2026-1",
		"DOCSPACE_PRIVACY_KEY_FILE="+writeFile(t, "key", "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=\n"), "DOCSPACE_FORMERLY=old.example.com, older.example.com:8443", "EVENTS_SCHEMA_BASE=https://schemas.example.com/x",
		"NATS_URL=tls://a.example.com,tls://b.example.com:4223", "NATS_USER=connector", "NATS_PASSWORD_FILE="+writeFile(t, "nats", "hunter2\n"), "NATS_TLS_CA_FILE="+pem,
		"NATS_TLS_FIRST=true", "NATS_JS_DOMAIN=leaf", "NATS_INBOX_PREFIX=_INBOX_connector", "NATS_MSG_ID=always", "NATS_DATA_MAX_BYTES=5000000001", "NATS_DATA_SYNC=always",
		"NATS_TLS_CERT_FILE="+pem, "NATS_TLS_KEY_FILE="+pem, "NATS_STREAM=AUDIT", "NATS_SUBJECT_PREFIX=acme.docspace", "NATS_DATA_DIR=/d", "NATS_COMMIT=dedup",
		"NATS_REPLICAS=3", "NATS_MAX_AGE=2160h", "NATS_MAX_BYTES=5000000000",
		"POLL_MIN_INTERVAL=1s", "POLL_MAX_INTERVAL=1h", "POLL_REQUESTS_PER_MINUTE=0", "POLL_MAX_IN_FLIGHT=50",
		"HTTP_ADDR=", "HINTS_ADDR=127.0.0.1:8081", "HINTS_SECRET_FILE="+writeFile(t, "secret", "hunter2hunter2hunter2\n"), "LOG_LEVEL=debug", "LOG_FORMAT=text")
	if problems != "<nil>" {
		t.Fatalf("problems: %s", problems)
	}
	for _, want := range []string{
		"Username:a@example.com", "Formerly:old.example.com,older.example.com:8443", "Folders:12,2147483647", "Start:2026-01-31T00:00:00Z", "Privacy:pseudonymous PrivacyKey:[hidden] PrivacyKeyFile:/", "PrivacyKeyID:2026-1", "SchemaBase:https://schemas.example.com/x",
		"URL:tls://a.example.com,tls://b.example.com:4223", "User:connector Password:[hidden] PasswordFile:/", "TLSCAFile:" + pem, "TLSCertFile:" + pem, "TLSKeyFile:" + pem,
		"Stream:AUDIT", "SubjectPrefix:acme.docspace", "Commit:dedup", "DataDir:/d", "Replicas:3", "MaxAge:2160h0m0s", "MaxBytes:5000000000",
		"TLSFirst:true JSDomain:leaf InboxPrefix:_INBOX_connector", "MsgID:always", "DataMaxBytes:5000000001 DataSync:always",
		"MinInterval:1s", "MaxInterval:1h0m0s", "RequestsPerMinute:0", "MaxInFlight:50", "HTTP:{Addr:}", "Hints:{Addr:127.0.0.1:8081 Secret:[hidden] SecretFile:/", "Level:debug Format:text",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if strings.Contains(got, "hunter2") {
		t.Errorf("a printed configuration shows a password: %s", got)
	}
}

func TestAnAddressWithAPasswordIsPrintedWithoutIt(t *testing.T) {
	t.Parallel()
	got, problems := loadInChild(t, "DOCSPACE_URL=https://docs.example.com", "DOCSPACE_API_KEY=sk-hunter2", "NATS_URL=tls://someone:hunter2@a.example.com,tls://b.example.com:4223")
	if problems != "<nil>" || !strings.Contains(got, "URL:tls://a.example.com,tls://b.example.com:4223 ") || strings.Contains(got, "hunter2") {
		t.Errorf("problems %s; printed %s", problems, got)
	}
}

func TestAllProblemsAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, got := loadInChild(t,
		"DOCSPACE_URL=ftp://docs.example.com", "DOCSPACE_API_KEY=sk-hunter2", "DOCSPACE_TOKEN_FILE=/nowhere/token",
		"DOCSPACE_APIKEY=sk-hunter3", "DOCSPACE_FORMERLY=https://old.example.com", "DOCSPACE_FOLDERS=1,two", "DOCSPACE_START=yesterday", "DOCSPACE_PRIVACY=none",
		"NATS_STREAM=a.b", "NATS_SUBJECT_PREFIX=$JS", "NATS_COMMIT=both", "NATS_REPLICAS=three", "NATS_MAX_AGE=1ms", "NATS_MAX_BYTES=-1", "NATS_CREDS_FILE=/nowhere/creds",
		"POLL_MIN_INTERVAL=10ms", "POLL_MAX_INTERVAL=10", "POLL_REQUESTS_PER_MINUTE=-1", "POLL_MAX_IN_FLIGHT=51",
		"NATS_PASSWORD=hunter5", "NATS_TLS_FIRST=perhaps", "NATS_JS_DOMAIN=leaf", "NATS_INBOX_PREFIX=_INBOX.>", "NATS_MSG_ID=never", "NATS_DATA_MAX_BYTES=1", "NATS_DATA_SYNC=1h",
		"HTTP_ADDR=8080", "HINTS_ADDR=8081", "HINTS_SECRETS=hunter4", "LOG_LEVEL=", "LOG_FORMAT=xml")
	want := `DOCSPACE_APIKEY: is not a setting of docspace-nats; did you mean DOCSPACE_API_KEY?
HINTS_SECRETS: is not a setting of docspace-nats; did you mean HINTS_SECRET?
DOCSPACE_URL: must be an http or https address, got "ftp://docs.example.com"
DOCSPACE_FORMERLY: must be hosts such as docs.example.com, separated by commas, got "https://old.example.com"
DOCSPACE_TOKEN_FILE: open /nowhere/token: no such file or directory
DOCSPACE_TOKEN_FILE: must not be set together with DOCSPACE_API_KEY; keep one kind of credentials
DOCSPACE_FOLDERS: must be rooms, or folder ids from 1 to 2147483647 separated by commas, got "two"
DOCSPACE_START: must be beginning, now, or a time with its zone such as 2026-01-31T00:00:00Z, got "yesterday"
DOCSPACE_PRIVACY: must be full, standard, pseudonymous or minimal, got "none"
NATS_PASSWORD: must be set only together with NATS_URL; without it the server inside this program is used
NATS_CREDS_FILE: must be set only together with NATS_URL; without it the server inside this program is used
NATS_TLS_FIRST: must be true or false, got "perhaps"
NATS_JS_DOMAIN: must be set only together with NATS_URL; without it the server inside this program is used
NATS_INBOX_PREFIX: must be words of letters, digits, - and _ joined by dots, at most 100 bytes, got "_INBOX.>"
NATS_STREAM: must be letters, digits, - and _, at most 255 of them, got "a.b"
NATS_SUBJECT_PREFIX: must be words of letters, digits, - and _ joined by dots, at most 100 bytes, got "$JS"
NATS_COMMIT: must be auto, atomic or dedup, got "both"
NATS_MSG_ID: must be auto or always, got "never"
NATS_REPLICAS: must be a whole number, got "three"
NATS_MAX_AGE: must be 0s, which keeps events for ever, or at least 1m, got 1ms
NATS_MAX_BYTES: must be 0, which is no limit, or at least 1048576, got -1
NATS_DATA_MAX_BYTES: must be 0, which leaves it to the disk, or at least 16777216, got 1
NATS_DATA_SYNC: must be always, or a duration from 100ms to 10m, got 1h
POLL_MIN_INTERVAL: must be at least 1s and at most 24h, got 10ms
POLL_MAX_INTERVAL: must be a duration with its unit, such as 5s, 2m or 24h, got 10
POLL_REQUESTS_PER_MINUTE: must be 0, which is no limit, to 1000000, got -1
POLL_MAX_IN_FLIGHT: must be 1 to 50, got 51
HTTP_ADDR: must be host:port such as 127.0.0.1:8080, or empty to turn it off, got 8080
HINTS_ADDR: must be host:port such as 127.0.0.1:8081, or empty to turn it off, got 8081
HINTS_SECRET: must be set to the secret key of the webhook in the portal, or HINTS_SECRET_FILE, to receive hints on HINTS_ADDR
LOG_LEVEL: must be debug, info, warn or error, got ""
LOG_FORMAT: must be auto, json or text, got "xml"`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestAnUnprefixedVariableIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	_, got := loadInChild(t, "URL=https://docs.example.com", "API_KEY=sk-hunter2", "TOKEN=x")
	want := `DOCSPACE_URL: must be set to the portal's address, such as https://docs.example.com
DOCSPACE_API_KEY: must be set, or DOCSPACE_API_KEY_FILE, DOCSPACE_TOKEN, or DOCSPACE_USERNAME with DOCSPACE_PASSWORD`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestOnlyMisspelledSettingsAreUnknown(t *testing.T) {
	t.Parallel()
	found := unknownVariables([]string{
		"PATH=/bin", "HTTP_PROXY=http://proxy:3128", "HTTPS_PROXY=http://proxy:3128", "NO_PROXY=localhost",
		"NATS_SERVICE_HOST=10.0.0.1", "NATS_SERVICE_PORT=4222", "NATS_SERVICE_PORT_CLIENT=4222", "NATS_PORT=tcp://10.0.0.1:4222",
		"NATS_PORT_4222_TCP=tcp://10.0.0.1:4222", "NATS_PORT_4222_TCP_PROTO=tcp", "NATS_PORT_4222_TCP_PORT=4222", "NATS_PORT_4222_TCP_ADDR=10.0.0.1",
		"DOCSPACE_SERVICE_PORT=80", "DOCSPACE_NATS_SERVICE_HOST=10.0.0.2", "DOCSPACE_NATS_PORT=tcp://10.0.0.2:8080",
		"NATS_URL=nats://nats", "HTTP_PORT=9090", "POLL_INTERVAL=5s", "NATS_PASSPHRASE=hunter2", "LOG_=", "DOCSPACE_COMPLETELY_ELSEWHERE_AND_LONG=1",
	})
	want := `DOCSPACE_COMPLETELY_ELSEWHERE_AND_LONG: is not a setting of docspace-nats; remove it
HTTP_PORT: is not a setting of docspace-nats; did you mean HTTP_ADDR?
LOG_: is not a setting of docspace-nats; remove it
NATS_PASSPHRASE: is not a setting of docspace-nats; did you mean NATS_PASSWORD?
POLL_INTERVAL: is not a setting of docspace-nats; did you mean POLL_MIN_INTERVAL?`
	if diff := cmp.Diff(want, found.err().Error()); diff != "" {
		t.Errorf("unknown variables (-want +got):\n%s", diff)
	}
}

// valid is a configuration without a problem or a warning.
func valid() Config {
	return Config{
		DocSpace: DocSpace{URL: "https://docs.example.com", APIKey: "sk-hunter2", Privacy: "standard"},
		NATS:     NATS{InboxPrefix: "_INBOX", Stream: "DOCSPACE", SubjectPrefix: "docspace", Commit: "auto", MsgID: "auto", DataDir: "./data", Replicas: 1},
		Poll:     Poll{MinInterval: 5 * time.Second, MaxInterval: 2 * time.Minute, RequestsPerMinute: 600, MaxInFlight: 8},
		HTTP:     HTTP{Addr: "127.0.0.1:8080"},
		Log:      Log{Level: "info", Format: "auto"},
	}
}

func TestAProblemSaysWhatToWriteInstead(t *testing.T) {
	t.Parallel()
	const b64 = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
	keyFile := writeFile(t, "key", b64+"\n")
	pseudonyms := func(key, id string) func(*Config) {
		return func(c *Config) {
			c.DocSpace.Privacy, c.DocSpace.PrivacyKey, c.DocSpace.PrivacyKeyID = "minimal", Secret(key), id
		}
	}
	including := func(patterns string) func(*Config) {
		return func(c *Config) { _ = c.Events.Include.UnmarshalText([]byte(patterns)) }
	}
	empty, secret, lines := writeFile(t, "empty", ""), writeFile(t, "secret", "sk-hunter2\n"), writeFile(t, "lines", "hunter2\nhunter3")
	for _, c := range []struct {
		name string
		set  func(*Config)
		want string // "" when nothing is wrong
	}{
		{"valid", func(*Config) {}, ""},
		{"host only", func(c *Config) { c.DocSpace.URL = "docs.example.com" }, `DOCSPACE_URL: must be an http or https address, got "docs.example.com"`},
		{"no host", func(c *Config) { c.DocSpace.URL = "https://" }, `DOCSPACE_URL: must name a host, got "https://"`},
		{"path", func(c *Config) { c.DocSpace.URL = "https://docs.example.com/rooms" }, `DOCSPACE_URL: must end after the host name, such as https://docs.example.com, got "https://docs.example.com/rooms"`},
		{"query", func(c *Config) { c.DocSpace.URL = "https://docs.example.com?key=hunter2" }, "DOCSPACE_URL: must end after the host name, such as https://docs.example.com, got [hidden]"},
		{"fragment", func(c *Config) { c.DocSpace.URL = "https://docs.example.com#" }, `DOCSPACE_URL: must end after the host name, such as https://docs.example.com, got "https://docs.example.com#"`},
		{"user info", func(c *Config) { c.DocSpace.URL = "https://me:hunter2@docs.example.com" }, "DOCSPACE_URL: must not carry a user or password; set DOCSPACE_USERNAME and DOCSPACE_PASSWORD"},
		{"broken user info", func(c *Config) { c.DocSpace.URL = "https://me:hunter2%zz@docs.example.com" }, "DOCSPACE_URL: must be an http or https address, got [hidden]"},
		{"no credentials", func(c *Config) { c.DocSpace.APIKey = "" }, "DOCSPACE_API_KEY: must be set, or DOCSPACE_API_KEY_FILE, DOCSPACE_TOKEN, or DOCSPACE_USERNAME with DOCSPACE_PASSWORD"},
		{"key twice", func(c *Config) { c.DocSpace.APIKeyFile = secret }, "DOCSPACE_API_KEY_FILE: must not be set together with DOCSPACE_API_KEY; keep one"},
		{"key and password", func(c *Config) { c.DocSpace.Username, c.DocSpace.Password = "a@example.com", "hunter2" }, "DOCSPACE_PASSWORD: must not be set together with DOCSPACE_API_KEY; keep one kind of credentials"},
		{"key and user", func(c *Config) { c.DocSpace.Username = "a@example.com" }, "DOCSPACE_USERNAME: must be set only together with DOCSPACE_PASSWORD or DOCSPACE_PASSWORD_FILE"},
		{"user alone", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.Username = "", "a@example.com" }, "DOCSPACE_USERNAME: must be set only together with DOCSPACE_PASSWORD or DOCSPACE_PASSWORD_FILE"},
		{"password alone", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.Password = "", "hunter2" }, "DOCSPACE_USERNAME: must be set to the e-mail address that signs in with DOCSPACE_PASSWORD"},
		{"token file", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.TokenFile = "", secret }, ""},
		{"empty key file", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.APIKeyFile = "", empty }, "DOCSPACE_API_KEY_FILE: " + empty + " must not be empty"},
		{"two lines", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.APIKeyFile = "", lines }, "DOCSPACE_API_KEY_FILE: " + lines + " must be a single line"},
		{"key for its file", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.APIKeyFile = "", "sk-hunter2" }, "DOCSPACE_API_KEY_FILE: must be the path of a file; the secret itself belongs in the variable without _FILE: no such file or directory"},
		{"key for the address", func(c *Config) { c.DocSpace.URL = "sk-hunter2" }, "DOCSPACE_URL: must be an http or https address, got [hidden]"},
		{"long token for its file", func(c *Config) { c.DocSpace.APIKey, c.DocSpace.TokenFile = "", strings.Repeat("hunter/", 1000) }, "DOCSPACE_TOKEN_FILE: must be the path of a file; the secret itself belongs in the variable without _FILE: file name too long"},
		{"line break in key", func(c *Config) { c.DocSpace.APIKey = "sk-hunter2\r\nX-Evil: 1" }, "DOCSPACE_API_KEY: must be a single line"},
		{"huge key", func(c *Config) { c.DocSpace.APIKey = Secret(strings.Repeat("k", maxSecret+1)) }, "DOCSPACE_API_KEY: must not be longer than 16384 bytes"},
		{"NATS scheme", func(c *Config) { c.NATS.URL = "nats://a,http://me:hunter2@b" }, "NATS_URL: must be addresses such as nats://nats:4222 or tls://nats.example.com:4222, separated by commas, got [hidden]"},
		{"NATS host", func(c *Config) { c.NATS.URL = "nats:4222" }, `NATS_URL: must be addresses such as nats://nats:4222 or tls://nats.example.com:4222, separated by commas, got "nats:4222"`},
		{"prefix wildcard", func(c *Config) { c.NATS.SubjectPrefix = "a.>" }, `NATS_SUBJECT_PREFIX: must be words of letters, digits, - and _ joined by dots, at most 100 bytes, got "a.>"`},
		{"prefix empty token", func(c *Config) { c.NATS.SubjectPrefix = "a..b" }, `NATS_SUBJECT_PREFIX: must be words of letters, digits, - and _ joined by dots, at most 100 bytes, got "a..b"`},
		{"NATS user", func(c *Config) { c.NATS.URL, c.NATS.User, c.NATS.PasswordFile = "nats://a", "connector", secret }, ""},
		{"NATS user alone", func(c *Config) { c.NATS.URL, c.NATS.User = "nats://a", "connector" }, "NATS_USER: must be set only together with NATS_PASSWORD or NATS_PASSWORD_FILE"},
		{"NATS password alone", func(c *Config) { c.NATS.URL, c.NATS.Password = "nats://a", "hunter2" }, "NATS_USER: must be set to the user whose password is NATS_PASSWORD"},
		{"NATS password twice", func(c *Config) {
			c.NATS.URL, c.NATS.User, c.NATS.Password, c.NATS.PasswordFile = "nats://a", "connector", "hunter2", secret
		}, "NATS_PASSWORD_FILE: must not be set together with NATS_PASSWORD; keep one"},
		{"NATS password and token", func(c *Config) {
			c.NATS.URL, c.NATS.User, c.NATS.Password, c.NATS.Token = "nats://a", "connector", "hunter2", "hunter3"
		}, "NATS_TOKEN: must not be set together with NATS_PASSWORD; keep one kind of credentials"},
		{"NATS token and credentials", func(c *Config) { c.NATS.URL, c.NATS.TokenFile, c.NATS.CredsFile = "nats://a", secret, secret }, "NATS_CREDS_FILE: must not be set together with NATS_TOKEN_FILE; keep one kind of credentials"},
		{"NATS user twice", func(c *Config) { c.NATS.URL, c.NATS.NKeyFile = "nats://a,nats://me:hunter2@b", secret }, "NATS_NKEY_FILE: must not be set together with a user in NATS_URL; keep one kind of credentials"},
		{"NATS token file that is empty", func(c *Config) { c.NATS.URL, c.NATS.TokenFile = "nats://a", empty }, "NATS_TOKEN_FILE: " + empty + " must not be empty"},
		{"NATS domain", func(c *Config) { c.NATS.URL, c.NATS.JSDomain = "nats://a", "a.b" }, `NATS_JS_DOMAIN: must be letters, digits, - and _, got "a.b"`},
		{"certificate alone", func(c *Config) { c.NATS.URL, c.NATS.TLSCertFile = "tls://a", secret }, "NATS_TLS_KEY_FILE: must be set too: certificate and key belong together"},
		{"key alone", func(c *Config) { c.NATS.URL, c.NATS.TLSKeyFile = "tls://a", secret }, "NATS_TLS_CERT_FILE: must be set too: certificate and key belong together"},
		{"empty CA file", func(c *Config) { c.NATS.URL, c.NATS.TLSCAFile = "tls://a", empty }, "NATS_TLS_CA_FILE: must be a file that can be read: " + empty + " is empty"},
		{"replicas of the embedded server", func(c *Config) { c.NATS.Replicas = 3 }, "NATS_REPLICAS: must be 1 for the server inside this program, got 3; set NATS_URL to use a cluster"},
		{"replicas", func(c *Config) { c.NATS.URL, c.NATS.Replicas = "nats://a", 6 }, "NATS_REPLICAS: must be 1 to 5, got 6"},
		{"no directory", func(c *Config) { c.NATS.DataDir = "" }, "NATS_DATA_DIR: must be set to a directory, such as ./data, or NATS_URL to a server"},
		{"blank key", func(c *Config) { c.DocSpace.APIKey = " " }, "DOCSPACE_API_KEY: must not be empty"},
		{"blank password", func(c *Config) {
			c.DocSpace.APIKey, c.DocSpace.Username, c.DocSpace.Password = "", "a@example.com", " "
		}, "DOCSPACE_PASSWORD: must not be empty"},
		{"shortest interval unreadable", func(c *Config) { c.Poll.MinInterval, c.Poll.MaxInterval = 0, 500*time.Millisecond }, "POLL_MIN_INTERVAL: must be at least 1s and at most 24h, got 0s\nPOLL_MAX_INTERVAL: must be at least 1s, got 500ms"},
		{"intervals crossed", func(c *Config) { c.Poll.MinInterval = time.Hour }, "POLL_MAX_INTERVAL: must be at least POLL_MIN_INTERVAL, which is 1h, got 2m"},
		{"interval too long", func(c *Config) { c.Poll.MaxInterval = 25 * time.Hour }, "POLL_MAX_INTERVAL: must be at most 24h, got 25h"},
		{"no HTTP", func(c *Config) { c.HTTP.Addr = "" }, ""},
		{"HTTP on IPv6", func(c *Config) { c.HTTP.Addr = "[::1]:0" }, ""},
		{"HTTP port", func(c *Config) { c.HTTP.Addr = "localhost:70000" }, `HTTP_ADDR: must be host:port such as 127.0.0.1:8080, or empty to turn it off, got "localhost:70000"`},
		{"hints", func(c *Config) { c.Hints = Hints{Addr: "127.0.0.1:8081", Secret: "hunter2"} }, ""},
		{"pseudonyms", pseudonyms(b64, "2026-1"), ""},
		{"pseudonyms with a key in a file", func(c *Config) { pseudonyms("", "2026-1")(c); c.DocSpace.PrivacyKeyFile = keyFile }, ""},
		{"pseudonyms with 64 hex digits", pseudonyms("5f2c1ab09d3e47c86a0f9be4d1783c25e96b04fd72a81c3d5e0fb79a64d2c813", "2026-1"), ""},
		{"pseudonyms without a key", pseudonyms("", ""), "DOCSPACE_PRIVACY_KEY: must be set for DOCSPACE_PRIVACY=minimal, or DOCSPACE_PRIVACY_KEY_FILE; make a key for this portal alone: head -c 32 /dev/urandom | base64\n" +
			"DOCSPACE_PRIVACY_KEY_ID: must be set to a name for the key, such as 2026-1; every event carries it, and another key needs another"},
		{"pseudonyms with a phrase", pseudonyms("hunter2 and other words that people think up", "2026-1"), "DOCSPACE_PRIVACY_KEY: must be base64 of at least 32 random bytes; make one: head -c 32 /dev/urandom | base64"},
		{"pseudonyms with a short key", pseudonyms(b64[:40], "2026-1"), "DOCSPACE_PRIVACY_KEY: must have at least 32 random bytes, got 30 bytes; make one: head -c 32 /dev/urandom | base64"},
		{"pseudonyms with a key of zeros", pseudonyms(strings.Repeat("A", 44), "2026-1"), "DOCSPACE_PRIVACY_KEY: must be random, and its bytes repeat; make one: head -c 32 /dev/urandom | base64"},
		{"pseudonyms with a repeated word", pseudonyms("hunter2hunter2hunter2hunter2hunter2hunter2hu", "2026-1"), "DOCSPACE_PRIVACY_KEY: must be random, and its bytes repeat; make one: head -c 32 /dev/urandom | base64"},
		{"pseudonyms with two keys", func(c *Config) { pseudonyms(b64, "2026-1")(c); c.DocSpace.PrivacyKeyFile = keyFile }, "DOCSPACE_PRIVACY_KEY_FILE: must not be set together with DOCSPACE_PRIVACY_KEY; keep one"},
		{"pseudonyms with the key for its file", func(c *Config) { pseudonyms("", "2026-1")(c); c.DocSpace.PrivacyKeyFile = b64 }, "DOCSPACE_PRIVACY_KEY_FILE: must be the path of a file; the secret itself belongs in the variable without _FILE: no such file or directory"},
		{"pseudonyms with a key id of words", pseudonyms(b64, "the first key"), "DOCSPACE_PRIVACY_KEY_ID: must be 1 to 64 letters, digits, dots, underscores and hyphens"},
		{"a key nobody uses", func(c *Config) { c.DocSpace.PrivacyKey = Secret(b64) }, "DOCSPACE_PRIVACY_KEY: must be set only with DOCSPACE_PRIVACY=pseudonymous or minimal: standard names people as the portal does"},
		{"a key id nobody uses", func(c *Config) { c.DocSpace.Privacy, c.DocSpace.PrivacyKeyID = "full", "2026-1" }, "DOCSPACE_PRIVACY_KEY_ID: must be set only with DOCSPACE_PRIVACY=pseudonymous or minimal: full names people as the portal does"},
		{"only an action that is half spelled", including("file.upload"), "EVENTS_INCLUDE: file.upload matches no action; did you mean file.uploaded, file.unlocked, file.locked?"},
		{"only actions of a newer portal", including("room.seal_enabled,file.x*"), "EVENTS_INCLUDE: leaves nothing of what a folder's log can show; docspace-nats schema actions lists what it can show"},
		{"actions of a newer portal, too", including("room.seal_enabled,room.created"), ""},
		{"hints without a secret", func(c *Config) { c.Hints.Addr = "127.0.0.1:8081" }, "HINTS_SECRET: must be set to the secret key of the webhook in the portal, or HINTS_SECRET_FILE, to receive hints on HINTS_ADDR"},
		{"hints with an empty secret", func(c *Config) { c.Hints = Hints{Addr: "127.0.0.1:8081", SecretFile: empty} }, "HINTS_SECRET_FILE: " + empty + " must not be empty"},
		{"hints where the state is", func(c *Config) { c.Hints = Hints{Addr: "127.0.0.1:8080", Secret: "hunter2"} }, "HINTS_ADDR: must not be the address of HTTP_ADDR: hints come from outside, and the state is not for there"},
		{"secret without hints", func(c *Config) { c.Hints.SecretFile = secret }, "HINTS_SECRET_FILE: must be set only together with HINTS_ADDR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := valid()
			c.set(&cfg)
			got := ""
			if err := cfg.problems().err(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(got, "hunter") {
				t.Errorf("shows a secret: %s", got)
			}
		})
	}
}

func TestFoldersAreRoomsOrDistinctIDs(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"rooms": "rooms <nil>", "1": "1 <nil>", " 3 ,2": "3,2 <nil>",
		"":                               `rooms must be rooms, or folder ids from 1 to 2147483647 separated by commas, got ""`,
		"0":                              `rooms must be rooms, or folder ids from 1 to 2147483647 separated by commas, got 0`,
		"2147483648":                     `rooms must be rooms, or folder ids from 1 to 2147483647 separated by commas, got 2147483648`,
		"1,":                             `rooms must be rooms, or folder ids from 1 to 2147483647 separated by commas, got ""`,
		"4,5,4":                          `rooms must name each folder once, got 4 twice`,
		strings.Repeat("1,", maxFolders): "rooms must name at most 100000 folders",
	} {
		var folders Folders
		err := folders.Decode(value)
		if got := fmt.Sprint(folders, " ", err); got != want {
			t.Errorf("%.20q: got %s, want %s", value, got, want)
		}
		if err == nil && folders.Rooms() != (value == "rooms") {
			t.Errorf("%.20q: Rooms() = %t", value, folders.Rooms())
		}
	}
}

func TestStartIsTheBeginningNowOrATime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		"beginning":                 {},
		"now":                       now,
		"2026-01-31T01:00:00+01:00": time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
	} {
		var start Start
		if err := start.Decode(value); err != nil || !start.Time(now).Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", value, start.Time(now), err, want)
		}
		var again Start
		if err := again.Decode(start.String()); err != nil || again != start {
			t.Errorf("%s: prints as %s, which reads as %v, %v", value, start, again, err)
		}
	}
	for _, value := range []string{"", "Now", "2026-01-31", "2026-01-31T00:00:00", "1999-12-31T23:59:59Z"} {
		if err := new(Start).Decode(value); err == nil {
			t.Errorf("%q is taken for a start", value)
		}
	}
}

func TestARotatedSecretFileIsPickedUp(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "key", "sk-old\n")
	key := DocSpace{APIKeyFile: file}.APIKeySource()
	if got, err := key(); got != "sk-old" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := os.WriteFile(file, []byte("sk-new\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := key(); got != "sk-new" || err != nil {
		t.Errorf("after the rotation: got %q, %v", got, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := key(); err == nil || !strings.HasPrefix(err.Error(), "DOCSPACE_API_KEY_FILE: open ") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the removal: got %v", err)
	}
	if (DocSpace{APIKeyFile: file}).TokenSource() != nil {
		t.Error("a token that is not set has a source")
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	cfg := valid()
	cfg.NATS.URL = "nats://me:hunter2@a,nats://hunter2@b:4222"
	var log strings.Builder
	logger := zerolog.New(&log)
	logger.Info().Interface("config", cfg).Stringer("key", cfg.DocSpace.APIKey).Any("url", cfg.NATS.URL).Send()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb+verb+verb, cfg, cfg.DocSpace.APIKey, cfg.NATS.URL)
	}
	for _, leak := range []string{"hunter", "68756e746572"} {
		if strings.Contains(log.String(), leak) {
			t.Errorf("%q in %s", leak, log.String())
		}
	}
	if got := cfg.NATS.URL.String(); got != "nats://a,nats://b:4222" {
		t.Errorf("servers: got %s", got)
	}
}

func TestDoubtfulSettingsWarn(t *testing.T) {
	t.Parallel()
	if got := valid().Warnings(); len(got) != 0 {
		t.Errorf("a valid configuration warns: %q", got)
	}
	cfg := valid()
	cfg.DocSpace.APIKey = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln"
	if got := cfg.Warnings(); len(got) != 0 {
		t.Errorf("a personal access token warns: %q", got)
	}
	cfg.DocSpace = DocSpace{URL: "http://docs.example.com", APIKey: "asc_hunter2", Password: "hunter2"}
	cfg.NATS.Replicas, cfg.NATS.MaxBytes, cfg.NATS.Commit, cfg.Poll.RequestsPerMinute = 2, 1<<30, "dedup", 1501
	cfg.Hints = Hints{Addr: "0.0.0.0:8081", Secret: "hunter2"}
	var got []string
	for _, warning := range cfg.Warnings() {
		variable, _, _ := strings.Cut(warning, ":")
		got = append(got, variable)
	}
	want := []string{"DOCSPACE_URL", "DOCSPACE_API_KEY", "DOCSPACE_PASSWORD", "NATS_REPLICAS", "NATS_MAX_BYTES", "NATS_COMMIT", "POLL_REQUESTS_PER_MINUTE", "HINTS_ADDR", "HINTS_SECRET"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	for address, want := range map[string]bool{"http://localhost:8092": false, "http://127.0.0.1": false, "http://[::1]:80": false, "http://10.0.0.1": true, "https://docs.example.com": false} {
		if plainHTTP(address) != want {
			t.Errorf("plainHTTP(%s) = %t", address, !want)
		}
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, s := range settings(new(Config)) {
		if !inOurGroups(s.name) || seen[s.name] {
			t.Errorf("%s: outside our variableGroups or used twice", s.name)
		}
		seen[s.name] = true
		if !strings.HasSuffix(s.field.Tag.Get("desc"), ".") {
			t.Errorf("%s: its desc is not a sentence", s.name)
		}
	}
	help := Help()
	for line := range strings.Lines(help) {
		if len(line) > 81 {
			t.Errorf("help is wider than a terminal: %s", line)
		}
	}
	if !strings.Contains(help, "  POLL_MIN_INTERVAL (default 5s)\n      Time between two polls of a folder that just changed; at least 1s.\n") {
		t.Errorf("help:\n%s", help)
	}
	if rows := strings.Count(Table(), "\n") - 2; rows != len(seen) {
		t.Errorf("the table has %d rows for %d settings", rows, len(seen))
	}
}

// writeFile makes a file in a directory of the test.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
