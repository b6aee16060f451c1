package main

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var (
	repositoryDir = filepath.Join("..", "..")
	deployDir     = filepath.Join(repositoryDir, "deploy")
)

// A manifest is a YAML document, as Kubernetes and Compose read it.
type manifest = map[string]any

// compose reads compose.yaml.
func compose(t *testing.T) manifest {
	t.Helper()
	return manifests(t, "compose")["compose.yaml"][0]
}

// kubernetes reads a file that holds one manifest.
func kubernetes(t *testing.T, file string) manifest {
	t.Helper()
	documents := manifests(t, "kubernetes")[file]
	if len(documents) != 1 {
		t.Fatalf("%s holds %d documents", file, len(documents))
	}
	return documents[0]
}

// manifests parses every YAML file of a way to run; keys may not repeat.
func manifests(t *testing.T, way string) map[string][]manifest {
	t.Helper()
	all := make(map[string][]manifest)
	for _, file := range filesUnder(t, filepath.Join(deployDir, way)) {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		decoder := yaml.NewDecoder(strings.NewReader(readFile(t, file)))
		for {
			var m manifest
			err := decoder.Decode(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[filepath.Base(file)] = append(all[filepath.Base(file)], m)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no YAML under %s", way)
	}
	return all
}

// at walks into a manifest by keys and indices; nil when there is nothing.
func at(node any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := node.(manifest)
			node = m[step]
		case int:
			list, _ := node.([]any)
			if step >= len(list) {
				return nil
			}
			node = list[step]
		}
	}
	return node
}

// An imageFile is what the final stage of the Dockerfile says.
type imageFile struct {
	instruction map[string]string // the last of each
	env         map[string]string
}

func dockerfile(t *testing.T) imageFile {
	t.Helper()
	image := imageFile{make(map[string]string), make(map[string]string)}
	text := strings.ReplaceAll(readFile(t, filepath.Join(repositoryDir, "Dockerfile")), "\\\n", " ")
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		image.instruction[word] = strings.TrimSpace(rest)
		if word != "ENV" {
			continue
		}
		for _, pair := range strings.Fields(rest) {
			name, value, _ := strings.Cut(pair, "=")
			image.env[name] = value
		}
	}
	return image
}

// assignments reads NAME=value lines, as systemd and Compose do.
func assignments(t *testing.T, file string) map[string]string {
	t.Helper()
	environ := make(map[string]string)
	lines := bufio.NewScanner(strings.NewReader(readFile(t, file)))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			t.Errorf("%s: not an assignment: %s", file, line)
		}
		environ[name] = value
	}
	return environ
}

func filesUnder(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "node_modules": // of somebody who tries an example
			return filepath.SkipDir
		case !entry.IsDir():
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
