package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"docspace-nats/cmd/docspace-nats/config"
)

func TestEveryVariableThatDeployMentionsIsASetting(t *testing.T) {
	t.Parallel()
	names := []string{"DOCSPACE_MARKS", "DOCSPACE_POLL", "DOCSPACE_READERS", "DOCSPACE_REPLICAS", "DOCSPACE_STATUS", // streams and subjects
		"DOCSPACE_BACKFILL_"} // of which the name of a job is the rest
	names = append(names, config.Variables()...)
	mentioned := regexp.MustCompile(`\b(DOCSPACE|NATS|POLL|HTTP|HINTS|EVENTS|LOG)_[A-Z0-9_]+`)
	files := append(filesUnder(t, deployDir), filepath.Join(repositoryDir, "Dockerfile"), filepath.Join(repositoryDir, "Makefile"))
	count := 0
	for _, file := range files {
		for _, name := range mentioned.FindAllString(readFile(t, file), -1) {
			count++
			if !slices.Contains(names, name) {
				t.Errorf("%s: %s is not a setting", file, name)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d variables found under %s: is this test looking in the right place?", count, deployDir)
	}
}

func TestEveryWayToRunHasAReadme(t *testing.T) {
	t.Parallel()
	ways, err := os.ReadDir(deployDir)
	if err != nil || len(ways) == 0 {
		t.Fatalf("ways to run: %v", err)
	}
	for _, way := range ways {
		readme := readFile(t, filepath.Join(deployDir, way.Name(), "README.md"))
		for _, part := range []string{"**Choose this**", "\n## Change\n", "\n## Know that it works\n"} {
			if !strings.Contains(readme, part) {
				t.Errorf("%s/README.md has no %q", way.Name(), strings.TrimSpace(part))
			}
		}
	}
}

func TestKubernetesManifestsAreWhole(t *testing.T) {
	t.Parallel()
	for file, documents := range manifests(t, "kubernetes") {
		for _, m := range documents {
			if at(m, "apiVersion") == nil || at(m, "kind") == nil || at(m, "metadata", "name") != "docspace-nats" {
				t.Errorf("%s: needs apiVersion, kind and metadata.name docspace-nats, got %v", file, m)
			}
		}
	}
	kustomization := kubernetes(t, "kustomization.yaml")
	var listed []string
	for _, name := range at(kustomization, "resources").([]any) {
		listed = append(listed, name.(string))
	}
	var present []string
	for file := range manifests(t, "kubernetes") {
		if file != "kustomization.yaml" && !strings.Contains(file, ".example.") {
			present = append(present, file)
		}
	}
	slices.Sort(listed)
	slices.Sort(present)
	if diff := cmp.Diff(present, listed); diff != "" {
		t.Errorf("kustomization.yaml (-present +listed):\n%s", diff)
	}
}

func TestThePodIsRestricted(t *testing.T) {
	t.Parallel()
	pod := at(kubernetes(t, "deployment.yaml"), "spec", "template", "spec").(manifest)
	container := at(pod, "containers", 0).(manifest)
	want := []any{false, false, true, 65532, "RuntimeDefault", false, true, []any{"ALL"}}
	got := []any{
		at(pod, "automountServiceAccountToken"), at(pod, "enableServiceLinks"),
		at(pod, "securityContext", "runAsNonRoot"), at(pod, "securityContext", "runAsUser"), at(pod, "securityContext", "seccompProfile", "type"),
		at(container, "securityContext", "allowPrivilegeEscalation"), at(container, "securityContext", "readOnlyRootFilesystem"),
		at(container, "securityContext", "capabilities", "drop"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("security of the pod (-want +got):\n%s", diff)
	}
	if service := at(kubernetes(t, "serviceaccount.yaml"), "automountServiceAccountToken"); service != false {
		t.Errorf("the service account's token is mounted: %v", service)
	}
}

func TestImageUserAndPortAgreeEverywhere(t *testing.T) {
	t.Parallel()
	image := dockerfile(t)
	_, port, err := net.SplitHostPort(image.env["HTTP_ADDR"])
	if err != nil || port != image.instruction["EXPOSE"] {
		t.Fatalf("Dockerfile: EXPOSE %s, HTTP_ADDR %s", image.instruction["EXPOSE"], image.env["HTTP_ADDR"])
	}
	if image.env["NATS_DATA_DIR"] != strings.Trim(image.instruction["VOLUME"], `[]"`) {
		t.Errorf("Dockerfile: VOLUME %s, NATS_DATA_DIR %s", image.instruction["VOLUME"], image.env["NATS_DATA_DIR"])
	}
	deployment := kubernetes(t, "deployment.yaml")
	pod := at(deployment, "spec", "template", "spec").(manifest)
	container := at(pod, "containers", 0).(manifest)
	connector := at(compose(t), "services", "connector").(manifest)
	for what, pair := range map[string][2]any{
		"pod's HTTP_ADDR":      {podEnv(t)["HTTP_ADDR"], image.env["HTTP_ADDR"]},
		"pod's port":           {fmt.Sprint(at(container, "ports", 0, "containerPort")), port},
		"liveness probe":       {at(container, "livenessProbe", "httpGet", "port"), at(container, "ports", 0, "name")},
		"readiness probe":      {at(container, "readinessProbe", "httpGet", "port"), at(container, "ports", 0, "name")},
		"liveness path":        {at(container, "livenessProbe", "httpGet", "path"), "/livez"},
		"readiness path":       {at(container, "readinessProbe", "httpGet", "path"), "/readyz"},
		"service's port":       {at(kubernetes(t, "service.yaml"), "spec", "ports", 0, "targetPort"), at(container, "ports", 0, "name")},
		"service's selector":   {fmt.Sprint(at(kubernetes(t, "service.yaml"), "spec", "selector")), fmt.Sprint(at(deployment, "spec", "template", "metadata", "labels"))},
		"deployment's labels":  {fmt.Sprint(at(deployment, "spec", "selector", "matchLabels")), fmt.Sprint(at(deployment, "spec", "template", "metadata", "labels"))},
		"policy's selector":    {fmt.Sprint(at(kubernetes(t, "networkpolicy.yaml"), "spec", "podSelector", "matchLabels")), fmt.Sprint(at(deployment, "spec", "template", "metadata", "labels"))},
		"policy's port":        {fmt.Sprint(at(kubernetes(t, "networkpolicy.yaml"), "spec", "ingress", 0, "ports", 0, "port")), port},
		"Compose port":         {at(connector, "ports", 0), "127.0.0.1:" + port + ":" + port},
		"image":                {at(container, "image"), at(connector, "image")},
		"kustomization image":  {fmt.Sprint(at(kubernetes(t, "kustomization.yaml"), "images", 0, "name"), ":", at(kubernetes(t, "kustomization.yaml"), "images", 0, "newTag")), at(container, "image")},
		"user":                 {fmt.Sprint(at(pod, "securityContext", "runAsUser"), ":", at(pod, "securityContext", "runAsGroup")), image.instruction["USER"]},
		"service account":      {at(pod, "serviceAccountName"), at(kubernetes(t, "serviceaccount.yaml"), "metadata", "name")},
		"NATS port of Compose": {at(compose(t), "services", "nats", "ports", 0), "127.0.0.1:4222:4222"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestTheLinkerSetsAVariableThatExists(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, file := range filesUnder(t, ".") {
		if strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go") {
			sources.WriteString(readFile(t, file))
		}
	}
	for _, file := range []string{"Dockerfile", "Makefile"} {
		set := regexp.MustCompile(`-X main\.(\w+)=`).FindAllStringSubmatch(readFile(t, filepath.Join(repositoryDir, file)), -1)
		if len(set) == 0 {
			t.Errorf("%s does not tell the program its version", file)
		}
		for _, match := range set {
			if !regexp.MustCompile(`(?m)^var ` + match[1] + ` (string$|= ")`).MatchString(sources.String()) {
				t.Errorf("%s sets main.%s, which is no string variable that the linker can set", file, match[1])
			}
		}
	}
}

func TestComposeServicesAreConfined(t *testing.T) {
	t.Parallel()
	services := at(compose(t), "services").(manifest)
	for name, service := range services {
		want := []any{true, []any{"ALL"}, []any{"no-new-privileges:true"}, "unless-stopped"}
		got := []any{at(service, "read_only"), at(service, "cap_drop"), at(service, "security_opt"), at(service, "restart")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("service %s (-want +got):\n%s", name, diff)
		}
		for _, port := range at(service, "ports").([]any) {
			if !strings.HasPrefix(port.(string), "127.0.0.1:") {
				t.Errorf("service %s is open to the network: %s", name, port)
			}
		}
	}
	if at(services, "connector", "depends_on", "nats", "condition") != "service_healthy" || at(services, "nats", "healthcheck", "test") == nil {
		t.Error("the connector does not wait for a healthy NATS")
	}
}

// Every way to run is loaded by the program as its README says to fill it in.
func TestTheDeployedSettingsAreValid(t *testing.T) {
	t.Parallel()
	for way, environ := range map[string]map[string]string{
		"compose":    composeEnv(t),
		"kubernetes": podEnv(t),
		"systemd":    unitEnv(t, units[0]),
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var list []string
			for name, value := range environ {
				if strings.HasSuffix(name, "_FILE") {
					value = writeFile(t, name, "sk-hunter2\n")
				}
				list = append(list, name+"="+value)
			}
			process := role(t, "config-process")
			process.Env = list
			out, err := process.Output()
			if err != nil {
				t.Fatal(err)
			}
			cfg, problems, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			if problems != "<nil>" {
				t.Errorf("problems: %s", problems)
			}
			if !strings.Contains(cfg, "URL:https://docs.example.com ") || !strings.Contains(cfg, "Folders:rooms ") {
				t.Errorf("not as documented: %s", cfg)
			}
		})
	}
}

// podEnv is the environment the connector's container gets.
func podEnv(t *testing.T) map[string]string {
	t.Helper()
	environ := make(map[string]string)
	for name, value := range at(kubernetes(t, "configmap.yaml"), "data").(manifest) {
		environ[name] = value.(string)
	}
	secret := at(kubernetes(t, "secret.example.yaml"), "stringData").(manifest)
	for _, entry := range at(kubernetes(t, "deployment.yaml"), "spec", "template", "spec", "containers", 0, "env").([]any) {
		value := at(entry, "value")
		if value == nil {
			value = secret[at(entry, "valueFrom", "secretKeyRef", "key").(string)]
		}
		environ[at(entry, "name").(string)] = value.(string)
	}
	return environ
}

// composeEnv fills the connector's environment in from a completed .env.
func composeEnv(t *testing.T) map[string]string {
	t.Helper()
	dotenv := assignments(t, filepath.Join(deployDir, "compose", ".env.example"))
	for name, value := range dotenv {
		if value == "" {
			dotenv[name] = "0f3c2a448f0b4d0cbb1e"
		}
	}
	reference := regexp.MustCompile(`\$\{(\w+):([?-])([^}]*)\}`)
	environ := make(map[string]string)
	for name, value := range at(compose(t), "services", "connector", "environment").(manifest) {
		environ[name] = reference.ReplaceAllStringFunc(value.(string), func(text string) string {
			filled, ok := dotenv[reference.FindStringSubmatch(text)[1]]
			if !ok {
				t.Errorf(".env.example does not set what compose.yaml reads: %s", text)
			}
			return filled
		})
	}
	return environ
}
