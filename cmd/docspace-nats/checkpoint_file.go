package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"docspace-nats/checkpoint"
	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/publisher"
	"docspace-nats/schema"
)

// A file of marks has a header and then a mark in each line, as the stream holds
// them.
type markHeader struct {
	Marks   string    `json:"docspace_nats_marks"` // version of the encoding
	Stream  string    `json:"stream"`
	Portals []string  `json:"portals"`
	Folders int       `json:"folders"`
	Version string    `json:"version"` // of the program
	Time    time.Time `json:"time"`
}

// Bounds of a file of marks: no mark comes near the first, and no stream has more
// marks than the second.
const (
	longestMark = 1 << 20
	mostMarks   = 100_000
)

func checkpointExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export [FILE]",
		Short: "Save all marks to a file",
		Long: `export writes the marks of all folders to a file, or to standard output: a header and
then one mark in each line. An existing file is replaced as a whole. How many marks it was
is said on standard error. Marks hold no titles and no names; who can guess a title and a date can see in them that it is right.`,
		Example: `  docspace-nats checkpoint export marks.ndjson
  docspace-nats checkpoint export | gzip > marks.ndjson.gz`,
		Args: atMostOneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.LoadNATS()
			if err != nil {
				return &usageError{err}
			}
			return exportMarks(cmd.Context(), cfg, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func atMostOneFile(cmd *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] == "" {
		return usagef("%s takes one file, got %q; see %[1]s --help", cmd.CommandPath(), args)
	}
	return nil
}

func exportMarks(ctx context.Context, cfg config.NATS, file []string, stdout, stderr io.Writer) error {
	keeper, err := keepMarks(ctx, client{name: "checkpoint export", own: true, tell: teller("checkpoint export", stderr)}, cfg, publisher.Attach)
	if err != nil {
		return err
	}
	defer keeper.close()
	marks, err := keeper.marks(ctx, nil)
	if err != nil {
		return err
	}
	write, where := func(w io.Writer) error { return writeMarks(w, cfg.Stream, marks) }, "standard output"
	if len(file) == 0 {
		err = write(stdout)
	} else {
		where = file[0]
		err = replaceFile(where, write)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s of stream %s exported to %s\n", counted(len(marks), "mark"), cfg.Stream, where)
	return nil
}

// replaceFile puts a file in the place of another when all of it is on the disk.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return notWritable(path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(write(f), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return notWritable(path, err)
	}
	return nil
}

// notWritable names the file that was asked for instead of the one beside it.
func notWritable(path string, err error) error {
	var name *os.PathError
	var names *os.LinkError
	switch {
	case errors.As(err, &name):
		err = name.Err
	case errors.As(err, &names):
		err = names.Err
	}
	return fmt.Errorf("%s cannot be written: %w; name a file in a directory that exists and that you may write to", path, err)
}

func writeMarks(w io.Writer, stream string, marks []checkpoint.Mark) error {
	header := markHeader{Marks: checkpoint.Version, Stream: stream, Portals: []string{}, Folders: len(marks), Version: thisBuild().Version, Time: time.Now().UTC().Truncate(time.Second)}
	known := make(map[string]bool)
	for _, m := range marks {
		if m.Portal != "" && !known[m.Portal] {
			known[m.Portal], header.Portals = true, append(header.Portals, m.Portal)
		}
	}
	lines := bufio.NewWriter(w)
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	fmt.Fprintf(lines, "%s\n", text)
	for _, m := range marks {
		text, err := m.Encode()
		if err != nil {
			return err
		}
		fmt.Fprintf(lines, "%s\n", text)
	}
	return lines.Flush()
}

func checkpointImportCommand() *cobra.Command {
	var o changeOptions
	var replace bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Put saved marks into a stream",
		Long: `import puts the marks of a file that export wrote into the stream; - reads standard
input. A stream that is absent is created, after you have agreed. Folders that have a
mark already are refused, unless --replace is given. Nothing is asked of the portal: the marks are believed, and
a folder whose log is another one becomes rewound when it is polled.

Rows that a mark accounts for are not published again. Where the stream does not hold
them, because it is another one, its consumers never see them.`,
		Example: `  docspace-nats checkpoint import marks.ndjson --dry-run
  docspace-nats checkpoint import marks.ndjson --reason 'moved to a new cluster' --yes`,
		Args: cobra.MatchAll(atMostOneFile, func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s needs a file, or -; see %[1]s --help", cmd.CommandPath())
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd.InOrStdin()); err != nil {
				return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			if args[0] == "-" && !o.yes && !o.dryRun {
				return usagef("--yes: must be given with -, since nobody can be asked on standard input")
			}
			cfg, err := config.Load()
			if err != nil {
				return &usageError{err}
			}
			moves, err := importMoves(args[0], replace, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return o.change(cmd, cfg, publisher.AttachOrAbsent, moves)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "also folders that have a mark; what that publishes again or skips is told")
	o.register(cmd.Flags())
	return cmd
}

// importMoves reads a file of marks.
func importMoves(path string, replace bool, stdin io.Reader) ([]folderMove, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	moves, err := readMarks(in, replace)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return moves, nil
}

func readMarks(r io.Reader, replace bool) ([]folderMove, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestMark)
	if !lines.Scan() {
		return nil, cmp.Or(lines.Err(), errors.New("is empty; it must be what checkpoint export wrote"))
	}
	var header markHeader
	if err := json.Unmarshal(lines.Bytes(), &header); err != nil || header.Marks == "" {
		return nil, errors.New("line 1: is not the header that checkpoint export writes")
	}
	if major, _, _ := strings.Cut(header.Marks, "."); major != "1" {
		return nil, fmt.Errorf("line 1: version %s: %w", schema.Text(header.Marks), checkpoint.ErrNewerVersion)
	}
	var moves []folderMove
	at := make(map[int]int)
	for n := 2; lines.Scan(); n++ {
		mark, err := checkpoint.Decode(lines.Bytes())
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case at[mark.Folder] > 0:
			return nil, fmt.Errorf("line %d: folder %d stands in line %d already", n, mark.Folder, at[mark.Folder])
		case len(moves) == mostMarks:
			return nil, fmt.Errorf("line %d: more than %d folders", n, mostMarks)
		}
		at[mark.Folder] = n
		moves = append(moves, folderMove{mark.Folder, poller.Move{Command: poller.ImportMark, Mark: mark, Replace: replace}})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(moves) != header.Folders {
		return nil, fmt.Errorf("holds %s, its header tells of %d: it is not complete; export it again or, where lines were taken out on purpose, correct the number in line 1", counted(len(moves), "mark"), header.Folders)
	}
	return moves, nil
}
