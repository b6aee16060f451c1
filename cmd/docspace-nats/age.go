package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"docspace-nats/cmd/docspace-nats/config"
	"docspace-nats/poller"
	"docspace-nats/poller/docspace"
)

const (
	oldestMajor = 3               // the first version whose log can be published
	ageWaits    = 5 * time.Second // bounds the start; the poller finds out later too
	ageTries    = 10              // folders to ask about
)

// refuseOld returns poller.ErrTooOld for a portal that says it is too old and
// behaves like that. What it says alone decides nothing: packages leave a
// version there that is not theirs. The poller finds out about the others.
func refuseOld(ctx context.Context, portal *docspace.Client, folders config.Folders, log zerolog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, ageWaits)
	defer cancel()
	version, err := portal.Version(ctx)
	if err != nil || !claimsTooOld(version) {
		return nil
	}
	ignored, err := ignoresDates(ctx, portal, folders)
	switch {
	case ignored:
		return poller.ErrTooOld
	case err != nil:
		log.Warn().Str("version", version).Err(err).Msg("the portal says it is older than DocSpace 3.0, which would be too old; it could not be asked whether that is true")
	}
	return nil
}

func claimsTooOld(version string) bool {
	var major int
	n, _ := fmt.Sscanf(version, "%d.", &major)
	return n == 1 && major < oldestMajor
}

// ignoresDates asks about the first folders, until one can be read that tells.
func ignoresDates(ctx context.Context, portal *docspace.Client, folders config.Folders) (ignored bool, err error) {
	ids := []int(folders)
	if folders.Rooms() {
		rooms, err := portal.Rooms(ctx)
		if err != nil {
			return false, err
		}
		for _, room := range rooms {
			ids = append(ids, room.ID)
		}
	}
	for _, id := range ids[:min(len(ids), ageTries)] {
		if ignored, err = portal.IgnoresDates(ctx, id); ignored {
			return true, nil
		}
	}
	return false, err
}
