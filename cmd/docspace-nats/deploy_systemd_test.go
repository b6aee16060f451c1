package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unitDirectives are the directives systemd 250 knows in each section, as far
// as a unit of ours has a use for them. systemd only warns about others, so a
// misspelled sandbox would stand open unnoticed.
var unitDirectives = map[string][]string{
	"Unit": {"Description", "Documentation", "Wants", "After", "StartLimitIntervalSec", "StartLimitBurst"},
	"Service": {
		"Type", "ExecStart", "Environment", "EnvironmentFile", "LoadCredential", "Restart", "RestartPreventExitStatus", "RestartSec", "TimeoutStopSec",
		"DynamicUser", "StateDirectory", "StateDirectoryMode", "LogsDirectory", "LogsDirectoryMode", "UMask", "MemoryMax", "LimitNOFILE",
		"CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers",
		"ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups",
		"ProtectProc", "ProcSubset", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RemoveIPC",
		"LockPersonality", "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
	},
	"Install": {"WantedBy"},
}

// units are the systemd units: the connector, and tail.
var units = []string{"docspace-nats.service", "docspace-tail.service"}

// A unitLine is a directive of a systemd unit.
type unitLine struct{ section, name, value string }

func TestTheUnitsUseOnlyDirectivesThatSystemdKnows(t *testing.T) {
	t.Parallel()
	for _, file := range units {
		used := make(map[string]bool)
		for _, line := range unit(t, file) {
			used[line.name] = true
			if !slices.Contains(unitDirectives[line.section], line.name) {
				t.Errorf("%s: [%s] %s: not a directive of this section", file, line.section, line.name)
			}
		}
		for _, sandbox := range []string{"DynamicUser", "NoNewPrivileges", "ProtectSystem", "CapabilityBoundingSet", "SystemCallFilter", "RestrictAddressFamilies", "LoadCredential", "WantedBy"} {
			if !used[sandbox] {
				t.Errorf("%s: %s is not set", file, sandbox)
			}
		}
	}
}

func TestTheUnitKeepsItsKeyInACredential(t *testing.T) {
	t.Parallel()
	environ := unitEnv(t, units[0])
	credential, _, _ := strings.Cut(directive(t, units[0], "LoadCredential"), ":")
	state := directive(t, units[0], "StateDirectory")
	if environ["DOCSPACE_API_KEY_FILE"] != "%d/"+credential || environ["NATS_DATA_DIR"] != "%S/"+state {
		t.Errorf("key %s and data %s lie outside of credential %s and state directory %s",
			environ["DOCSPACE_API_KEY_FILE"], environ["NATS_DATA_DIR"], credential, state)
	}
}

func TestTheUnitOfTailDeliversWhereItMayWriteWithItsPasswordInACredential(t *testing.T) {
	t.Parallel()
	const file = "docspace-tail.service"
	environ := unitEnv(t, file)
	credential, _, _ := strings.Cut(directive(t, file, "LoadCredential"), ":")
	if environ["NATS_PASSWORD_FILE"] != "%d/"+credential {
		t.Errorf("password %s is not the credential %s", environ["NATS_PASSWORD_FILE"], credential)
	}
	start, of, _ := strings.Cut(directive(t, file, "ExecStart"), " tail ")
	if start != "/usr/local/bin/docspace-nats" || of != "$TAIL" {
		t.Errorf("starts %s with %s", start, of)
	}
	logs := "/var/log/" + directive(t, file, "LogsDirectory") + "/"
	settings := []string{environ["TAIL"]}
	for _, recipe := range []string{"rsyslog", "wazuh", "fluent-bit"} {
		text := readFile(t, filepath.Join(siemDir, recipe, "README.md"))
		setting := regexp.MustCompile(`(?m)^ *TAIL=(.*)$`).FindStringSubmatch(text)
		if setting == nil || !strings.Contains(text, "(../../systemd/README.md") {
			t.Errorf("%s does not say what to set TAIL to, and for which unit", recipe)
			continue
		}
		settings = append(settings, setting[1])
	}
	for _, setting := range settings {
		cmd := tailCommand()
		if err := cmd.ParseFlags(strings.Fields(setting)); err != nil {
			t.Errorf("TAIL=%s: %v", setting, err)
			continue
		}
		if path := cmd.Flag("file").Value.String(); path != "" && !strings.HasPrefix(path, logs) {
			t.Errorf("TAIL=%s: the unit may write to %s only", setting, logs)
		}
		if cmd.Flag("durable").Value.String() == "" {
			t.Errorf("TAIL=%s: forgets at a restart what was delivered", setting)
		}
	}
}

// directive is what a unit sets a directive to, the last time.
func directive(t *testing.T, file, name string) (value string) {
	t.Helper()
	for _, line := range unit(t, file) {
		if line.name == name {
			value = line.value
		}
	}
	return value
}

// unitEnv is the environment the service gets, with specifiers as written.
func unitEnv(t *testing.T, file string) map[string]string {
	t.Helper()
	environ := make(map[string]string)
	for _, line := range unit(t, file) {
		switch line.name {
		case "EnvironmentFile":
			for name, value := range assignments(t, filepath.Join(deployDir, "systemd", filepath.Base(line.value))) {
				environ[name] = value
			}
		case "Environment":
			name, value, _ := strings.Cut(line.value, "=")
			environ[name] = value
		}
	}
	return environ
}

// unit parses a systemd unit.
func unit(t *testing.T, file string) []unitLine {
	t.Helper()
	var all []unitLine
	section := ""
	for line := range strings.Lines(readFile(t, filepath.Join(deployDir, "systemd", file))) {
		line = strings.TrimSpace(line)
		name, value, assigned := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = strings.Trim(line, "[]")
		case assigned && section != "":
			all = append(all, unitLine{section, name, value})
		default:
			t.Fatalf("%s: not a directive: %s", file, line)
		}
	}
	return all
}
