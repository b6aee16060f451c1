package main

import (
	"path/filepath"
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
		"DynamicUser", "StateDirectory", "StateDirectoryMode", "UMask", "MemoryMax", "LimitNOFILE",
		"CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers",
		"ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups",
		"ProtectProc", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RemoveIPC",
		"LockPersonality", "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
	},
	"Install": {"WantedBy"},
}

// A unitLine is a directive of the systemd unit.
type unitLine struct{ section, name, value string }

func TestTheUnitUsesOnlyDirectivesThatSystemdKnows(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	for _, line := range unit(t) {
		used[line.name] = true
		if !slices.Contains(unitDirectives[line.section], line.name) {
			t.Errorf("[%s] %s: not a directive of this section", line.section, line.name)
		}
	}
	for _, sandbox := range []string{"DynamicUser", "NoNewPrivileges", "ProtectSystem", "CapabilityBoundingSet", "SystemCallFilter", "RestrictAddressFamilies", "LoadCredential", "WantedBy"} {
		if !used[sandbox] {
			t.Errorf("%s is not set", sandbox)
		}
	}
}

func TestTheUnitKeepsItsKeyInACredential(t *testing.T) {
	t.Parallel()
	var credential, state string
	for _, line := range unit(t) {
		switch line.name {
		case "LoadCredential":
			credential, _, _ = strings.Cut(line.value, ":")
		case "StateDirectory":
			state = line.value
		}
	}
	environ := unitEnv(t)
	if environ["DOCSPACE_API_KEY_FILE"] != "%d/"+credential || environ["NATS_DATA_DIR"] != "%S/"+state {
		t.Errorf("key %s and data %s lie outside of credential %s and state directory %s",
			environ["DOCSPACE_API_KEY_FILE"], environ["NATS_DATA_DIR"], credential, state)
	}
}

// unitEnv is the environment the service gets, with specifiers as written.
func unitEnv(t *testing.T) map[string]string {
	t.Helper()
	environ := make(map[string]string)
	for _, line := range unit(t) {
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

// unit parses the systemd unit.
func unit(t *testing.T) []unitLine {
	t.Helper()
	var all []unitLine
	section := ""
	for line := range strings.Lines(readFile(t, filepath.Join(deployDir, "systemd", "docspace-nats.service"))) {
		line = strings.TrimSpace(line)
		name, value, assigned := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = strings.Trim(line, "[]")
		case assigned && section != "":
			all = append(all, unitLine{section, name, value})
		default:
			t.Fatalf("docspace-nats.service: not a directive: %s", line)
		}
	}
	return all
}
