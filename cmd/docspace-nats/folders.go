package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"docspace-nats/cmd/docspace-nats/config"
)

// folderFlag is the flag --folder.
func folderFlag(flags *pflag.FlagSet, folders *[]string, usage string) {
	flags.StringSliceVar(folders, "folder", nil, usage)
}

// folderIDs reads the values of --folder, each once, ascending. The error names
// all that are none.
func folderIDs(texts []string) ([]int, error) {
	var ids []int
	var errs []error
	for _, text := range texts {
		id, err := strconv.Atoi(text)
		if err != nil || id < 1 || id > config.MaxFolderID || strconv.Itoa(id) != text {
			errs = append(errs, fmt.Errorf("--folder: must be a folder id from 1 to %d, got %s", config.MaxFolderID, config.Shown(text)))
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), errors.Join(errs...)
}
