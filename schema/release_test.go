package schema_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"docspace-nats/schema"
	"docspace-nats/schema/schematest"
)

var release = flag.Bool("release", false, "release the version of the contract in work: keep its schemas, and its golden events as they are, for ever")

// sums is the list of the files of a released version, as sha256sum writes it.
const sums = "SHA256SUMS"

// A version of the contract is released by make release-contract, which keeps
// its schemas beside the sums of all its files. There is no way to do it again,
// and -update does not reach there; that the sums themselves were never
// changed is what .ci/run asks the repository.
func TestReleaseTheContract(t *testing.T) {
	if !*release {
		t.Skip("make release-contract")
	}
	if err := seal("testdata", schema.Version, schemas(t)); err != nil {
		t.Fatal(err)
	}
}

func TestAReleasedContractIsAsItWasReleased(t *testing.T) {
	t.Parallel()
	for _, version := range releasedVersions(t) {
		for _, problem := range broken("testdata", version) {
			t.Errorf("version %s of the contract is released: %s", version, problem)
		}
	}
	if !schematest.Released(t, schema.Version) {
		return
	}
	for file, text := range schemas(t) {
		kept, err := os.ReadFile(filepath.Join("testdata", "released", "v"+schema.Version, file))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(kept, text) {
			t.Errorf("%s is not what version %s of the contract was released with: raise schema.Version", file, schema.Version)
		}
	}
}

func TestEveryVersionBeforeTheOneInWorkIsReleased(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob(filepath.Join("testdata", "golden", "v*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%d versions, %v", len(dirs), err)
	}
	for _, dir := range dirs {
		if version := filepath.Base(dir)[1:]; version != schema.Version && !schematest.Released(t, version) {
			t.Errorf("%s: version %s is neither released nor in work", dir, version)
		}
	}
}

func TestNothingOfAReleasedContractChangesUnnoticed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(golden, released string) error
		want   string
	}{
		"a golden is changed": {func(golden, _ string) error { return os.WriteFile(golden+"/a.json", []byte("{}"), 0o600) }, "a.json has changed"},
		"a golden is removed": {func(golden, _ string) error { return os.Remove(golden + "/b.json") }, "b.json"},
		"a golden is added":   {func(golden, _ string) error { return os.WriteFile(golden+"/c.json", []byte("{}"), 0o600) }, "c.json was not part"},
		"a schema is changed": {func(_, released string) error { return os.WriteFile(released+"/event.schema.json", nil, 0o600) }, "event.schema.json has changed"},
		"a schema is removed": {func(_, released string) error { return os.Remove(released + "/room.schema.json") }, "room.schema.json"},
		"the sums are gone":   {func(_, released string) error { return os.Remove(released + "/" + sums) }, sums},
		"a line of the sums is gone": {func(_, released string) error {
			text, err := os.ReadFile(released + "/" + sums)
			if err != nil {
				return err
			}
			_, rest, _ := strings.Cut(string(text), "\n")
			return os.WriteFile(released+"/"+sums, []byte(rest), 0o600)
		}, "was not part"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			golden, kept := filepath.Join(dir, "golden", "v1.0"), filepath.Join(dir, "released", "v1.0")
			if err := os.MkdirAll(golden, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a.json", "b.json"} {
				if err := os.WriteFile(filepath.Join(golden, name), []byte(`{"name":"`+name+`"}`), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := seal(dir, "1.0", schemas(t)); err != nil {
				t.Fatal(err)
			}
			if problems := broken(dir, "1.0"); len(problems) > 0 {
				t.Fatalf("just released: %v", problems)
			}
			if err := seal(dir, "1.0", schemas(t)); err == nil {
				t.Error("released twice")
			}
			if err := test.change(golden, kept); err != nil {
				t.Fatal(err)
			}
			if problems := broken(dir, "1.0"); len(problems) != 1 || !strings.Contains(problems[0], test.want) {
				t.Errorf("problems %q, want one about %q", problems, test.want)
			}
		})
	}
}

// schemas are the schemas of this program, by file name.
func schemas(t *testing.T) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for name, text := range schema.Files("") {
		if strings.HasSuffix(name, ".schema.json") {
			all[name] = text
		}
	}
	return all
}

func releasedVersions(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("testdata", "released", "v*"))
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for _, dir := range dirs {
		versions = append(versions, filepath.Base(dir)[1:])
	}
	return versions
}

// seal keeps the schemas of a version, and the sums of them and its goldens.
func seal(dir, version string, schemas map[string][]byte) error {
	kept := filepath.Join(dir, "released", "v"+version)
	if _, err := os.Stat(kept); err == nil {
		return fmt.Errorf("version %s of the contract was released before: raise schema.Version", version)
	}
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return err
	}
	for name, text := range schemas {
		if err := os.WriteFile(filepath.Join(kept, name), text, 0o644); err != nil {
			return err
		}
	}
	found, err := sumsOf(dir, version)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, file := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&list, "%s  %s\n", found[file], file)
	}
	return os.WriteFile(filepath.Join(kept, sums), []byte(list.String()), 0o644)
}

// broken says what of a released version is not as it was.
func broken(dir, version string) []string {
	list, err := os.ReadFile(filepath.Join(dir, "released", "v"+version, sums))
	if err != nil {
		return []string{err.Error()}
	}
	found, err := sumsOf(dir, version)
	if err != nil {
		return []string{err.Error()}
	}
	var problems []string
	for lines := bufio.NewScanner(bytes.NewReader(list)); lines.Scan(); {
		sum, file, _ := strings.Cut(lines.Text(), "  ")
		switch now := found[file]; now {
		case sum:
		case "":
			problems = append(problems, file+" is gone")
		default:
			problems = append(problems, file+" has changed")
		}
		delete(found, file)
	}
	for _, file := range slices.Sorted(maps.Keys(found)) {
		problems = append(problems, file+" was not part of it")
	}
	return problems
}

// sumsOf returns the SHA-256 of every golden and every kept schema of a
// version, by their names under dir.
func sumsOf(dir, version string) (map[string]string, error) {
	found := make(map[string]string)
	for _, pattern := range []string{"golden/v" + version + "/*", "released/v" + version + "/*.json"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			name, err := filepath.Rel(dir, file)
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(text)
			found[filepath.ToSlash(name)] = hex.EncodeToString(sum[:])
		}
	}
	return found, nil
}
