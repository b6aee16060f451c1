package main

import "time"

// A trial is what a rule has to find and what it has to leave alone. Together
// its scenarios show each part of the rule at work: see
// TestSigmaRulesFindWhatTheyAreForAndNothingElse.
type trial struct {
	fires []scenario
	quiet []scenario
}

const seconds = time.Second

// The trials of the rules, by the names of their files.
var trials = map[string]trial{
	"docspace_room_mass_deletion": {
		fires: []scenario{
			{name: "25 files, folders and versions of every kind in five minutes", acts: []act{repeat(25, 12*seconds,
				mallory.trashes(), mallory.deletes(), mallory.trashesFolder(), mallory.deletesFolder(), mallory.removesVersion())}},
			{name: "25 files by somebody known by a pseudonym", minimal: true, acts: []act{repeat(25, seconds, mallory.deletes())}},
		},
		quiet: []scenario{
			{name: "24 files", acts: []act{repeat(24, seconds, mallory.deletes())}},
			{name: "25 files in more than five minutes", acts: []act{repeat(25, 13*seconds, mallory.deletes())}},
			{name: "26 files by two people", acts: []act{repeat(26, seconds, mallory.deletes(), eve.deletes())}},
			{name: "26 files by two people known by pseudonyms", minimal: true, acts: []act{repeat(26, seconds, mallory.deletes(), eve.deletes())}},
			{name: "25 files before anybody watched", history: []act{repeat(25, seconds, mallory.deletes())}},
			{name: "13 files the logs of a room and of its folder both tell of", watched: []string{"Sales", "Drafts"},
				acts: []act{repeat(13, seconds, mallory.deletesDraft())}},
			{name: "13 files in each of two portals", acts: []act{repeat(13, seconds, mallory.deletes())},
				elsewhere: []act{repeat(13, seconds, mallory.deletes())}},
			{name: "25 files moved within the room", acts: []act{repeat(25, seconds, mallory.moves("Drafts"))}},
		},
	},

	"docspace_room_external_link_created": {
		fires: []scenario{{name: "a link", acts: []act{mallory.createsLink("Sales")}}},
		quiet: []scenario{{name: "a link renamed, revoked and deleted", acts: []act{unlinks(mallory)}}},
	},

	"docspace_room_protection_lowered": {
		fires: []scenario{
			{name: "downloading allowed", acts: []act{mallory.allowsDownload("Sales")}},
			{name: "watermark removed", acts: []act{mallory.removesWatermark()}},
			{name: "files set to be deleted for good", acts: []act{mallory.limitsLife(true)}},
		},
		quiet: []scenario{
			{name: "protection switched on", acts: []act{mallory.deniesDownload(), mallory.setsWatermark(), mallory.limitsLife(false), mallory.unlimitsLife()}},
		},
	},

	"docspace_room_protection_lowered_then_shared": {
		fires: []scenario{
			{name: "downloading allowed, and a link 59 minutes later", acts: []act{mallory.allowsDownload("Sales"), pause(59 * time.Minute), eve.createsLink("Sales")}},
			{name: "watermark removed, and a member added", acts: []act{mallory.removesWatermark(), pause(time.Minute), mallory.adds(eve, "Sales")}},
			{name: "watermark removed, and a group added", acts: []act{mallory.removesWatermark(), mallory.addsGroup(qa, "Sales")}},
		},
		quiet: []scenario{
			{name: "a link an hour and a minute later", acts: []act{mallory.allowsDownload("Sales"), pause(61 * time.Minute), mallory.createsLink("Sales")}},
			{name: "a link before", acts: []act{mallory.createsLink("Sales"), pause(time.Minute), mallory.allowsDownload("Sales")}},
			{name: "a link to another room", acts: []act{mallory.allowsDownload("Sales"), pause(time.Minute), mallory.createsLink("Legal")}},
			{name: "a link in another portal", acts: []act{mallory.allowsDownload("Sales")}, elsewhere: []act{pause(5 * time.Minute), mallory.createsLink("Sales")}},
			{name: "a link after an upload", acts: []act{mallory.uploads("Offer.docx"), mallory.createsLink("Sales")}},
			{name: "lowered before anybody watched", history: []act{mallory.allowsDownload("Sales")}, acts: []act{mallory.createsLink("Sales")}},
		},
	},

	"docspace_room_owner_changed": {
		fires: []scenario{{name: "handed over", acts: []act{ada.handsOver(mallory)}}},
		quiet: []scenario{{name: "another role", acts: []act{ada.raises(mallory)}}},
	},

	"docspace_room_opened_to_everyone": {
		fires: []scenario{
			{name: "everyone added", acts: []act{mallory.addsGroup(everyone, "Sales")}},
			{name: "everyone got another role", acts: []act{mallory.changesGroup(everyone)}},
		},
		quiet: []scenario{
			{name: "a group of people added, and given another role", acts: []act{mallory.addsGroup(qa, "Sales"), mallory.changesGroup(qa)}},
			{name: "everyone removed", acts: []act{mallory.removesGroup(everyone)}},
		},
	},

	"docspace_room_member_added": {
		fires: []scenario{
			{name: "a person", acts: []act{ada.adds(mallory, "Sales")}},
			{name: "a group", acts: []act{ada.addsGroup(qa, "Sales")}},
		},
		quiet: []scenario{{name: "invited again and removed", acts: []act{ada.reinvites(mallory), ada.removes(mallory), ada.removesGroup(qa)}}},
	},

	"docspace_room_role_changed": {
		fires: []scenario{
			{name: "of a person", acts: []act{ada.raises(mallory)}},
			{name: "of a group", acts: []act{ada.changesGroup(qa)}},
		},
		quiet: []scenario{{name: "added and removed", acts: []act{ada.adds(mallory, "Sales"), ada.removes(mallory)}}},
	},

	"docspace_files_renamed_to_unfamiliar_type": {
		fires: []scenario{
			{name: "20 files in five minutes", acts: []act{repeat(20, 14*seconds, mallory.renames(".locked"))}},
			// Without names there are no endings: the README of the rules says so.
			{name: "20 files renamed to a familiar type, told without names", minimal: true, acts: []act{repeat(20, seconds, mallory.renames(".docx"))}},
			{name: "20 files without an ending", acts: []act{repeat(20, seconds, mallory.renames(""))}},
		},
		quiet: []scenario{
			{name: "19 files, and one for each familiar type", acts: []act{repeat(19, seconds, mallory.renames(".locked")), mallory.renamesToEach(familiarTypes)}},
			{name: "20 files in more than five minutes", acts: []act{repeat(20, 16*seconds, mallory.renames(".locked"))}},
			{name: "one file 20 times", acts: []act{repeat(20, seconds, mallory.renamesAgain(".locked"))}},
			{name: "20 files by two people", acts: []act{repeat(20, seconds, mallory.renames(".locked"), eve.renames(".locked"))}},
			{name: "20 files before anybody watched", history: []act{repeat(20, seconds, mallory.renames(".locked"))}},
			{name: "10 files in each of two portals", acts: []act{repeat(10, seconds, mallory.renames(".locked"))},
				elsewhere: []act{repeat(10, seconds, mallory.renamesDraft(".locked"))}},
			{name: "20 files uploaded", acts: []act{repeat(20, seconds, mallory.uploads("model.blend"))}},
		},
	},

	"docspace_ransomware_pattern": {
		fires: []scenario{
			{name: "20 files rewritten or renamed, and 20 files and versions removed", acts: []act{
				repeat(20, 14*seconds, mallory.rewrites(), mallory.renames(".locked")), pause(18 * time.Minute),
				repeat(20, 14*seconds, mallory.removesVersion(), mallory.deletes(), mallory.trashes())}},
		},
		quiet: []scenario{
			{name: "19 rewritten", acts: []act{repeat(19, seconds, mallory.rewrites()), repeat(20, seconds, mallory.deletes())}},
			{name: "19 removed", acts: []act{repeat(20, seconds, mallory.rewrites()), repeat(19, seconds, mallory.deletes())}},
			{name: "removed before", acts: []act{repeat(20, seconds, mallory.deletes()), repeat(20, seconds, mallory.rewrites())}},
			{name: "removed 40 minutes later", acts: []act{repeat(20, seconds, mallory.rewrites()), pause(40 * time.Minute), repeat(20, seconds, mallory.deletes())}},
			{name: "rewritten in more than five minutes", acts: []act{repeat(20, 16*seconds, mallory.rewrites()), repeat(20, seconds, mallory.deletes())}},
			{name: "removed in more than five minutes", acts: []act{repeat(20, seconds, mallory.rewrites()), repeat(20, 16*seconds, mallory.deletes())}},
			{name: "20 files moved within the room", acts: []act{repeat(20, seconds, mallory.moves("Drafts")), repeat(20, seconds, mallory.deletes())}},
			{name: "one file saved 20 times", acts: []act{repeat(20, seconds, mallory.rewritesAgain), repeat(20, seconds, mallory.deletes())}},
			{name: "rewritten by two people", acts: []act{repeat(20, seconds, eve.rewrites(), mallory.rewrites()), repeat(20, seconds, mallory.deletes())}},
			{name: "removed by two people", acts: []act{repeat(20, seconds, mallory.rewrites()), repeat(20, seconds, eve.deletes(), mallory.deletes())}},
			{name: "rewritten by one and removed by another", acts: []act{repeat(20, seconds, mallory.rewrites()), repeat(20, seconds, eve.deletes())}},
			{name: "rewritten and renamed before anybody watched", history: []act{repeat(40, seconds, mallory.rewrites(), mallory.renames(".locked"))},
				acts: []act{repeat(20, seconds, mallory.deletes())}},
			{name: "half of it removed before anybody watched", history: []act{repeat(10, seconds, mallory.deletes())}, ago: time.Minute,
				acts: []act{repeat(20, seconds, mallory.rewrites()), repeat(10, seconds, mallory.deletes())}},
			{name: "10 removals the logs of a room and of its folder both tell of", watched: []string{"Sales", "Drafts"},
				acts: []act{repeat(20, seconds, mallory.rewrites()), repeat(10, seconds, mallory.deletesDraft())}},
			{name: "half of it rewritten in another portal", elsewhere: []act{repeat(10, seconds, mallory.rewritesDraft())},
				acts: []act{pause(2 * time.Minute), repeat(10, seconds, mallory.rewrites()), repeat(20, seconds, mallory.deletes())}},
			{name: "half of it removed in another portal", elsewhere: []act{pause(time.Minute), repeat(10, seconds, mallory.deletesDraft())},
				acts: []act{repeat(20, seconds, mallory.rewrites()), pause(2 * time.Minute), repeat(10, seconds, mallory.deletes())}},
			{name: "rewritten in another portal", elsewhere: []act{repeat(20, seconds, mallory.rewritesDraft())},
				acts: []act{pause(5 * time.Minute), repeat(20, seconds, mallory.deletes())}},
		},
	},

	"docspace_room_data_left": {
		fires: []scenario{
			{name: "a file moved", acts: []act{mallory.moves("Legal")}},
			{name: "a file copied", acts: []act{mallory.copies("Legal")}},
			{name: "a folder moved", acts: []act{mallory.movesFolder("Legal")}},
			{name: "a folder copied", acts: []act{mallory.copiesFolder("Legal")}},
			// Without names, what comes looks like what leaves: the README of the rules says so.
			{name: "a file that came, told without names", minimal: true, watched: []string{"Legal"}, acts: []act{mallory.moves("Legal")}},
		},
		quiet: []scenario{
			{name: "moved within the room", acts: []act{mallory.moves("Drafts")}},
			{name: "moved within the room to a folder without a name", acts: []act{mallory.moves("Untitled")}},
			{name: "moved within the room, told without names", minimal: true, acts: []act{mallory.moves("Drafts")}},
			{name: "seen by the room it came to only", watched: []string{"Legal"}, acts: []act{mallory.moves("Legal")}},
			{name: "deleted", acts: []act{mallory.trashes()}},
		},
	},

	"docspace_room_data_left_in_bulk": {
		fires: []scenario{
			{name: "25 files and folders moved and copied in ten minutes", acts: []act{repeat(25, 24*seconds,
				mallory.moves("Legal"), mallory.copies("Legal"), mallory.movesFolder("Legal"), mallory.copiesFolder("Legal"))}},
		},
		quiet: []scenario{
			{name: "24 files", acts: []act{repeat(24, seconds, mallory.moves("Legal"))}},
			{name: "25 files in more than ten minutes", acts: []act{repeat(25, 26*seconds, mallory.moves("Legal"))}},
			{name: "26 files by two people", acts: []act{repeat(26, seconds, mallory.moves("Legal"), eve.moves("Legal"))}},
			{name: "25 files within the room", acts: []act{repeat(25, seconds, mallory.moves("Drafts"))}},
			{name: "25 files to a folder without a name", acts: []act{repeat(25, seconds, mallory.moves("Untitled"))}},
			{name: "25 files before anybody watched", history: []act{repeat(25, seconds, mallory.moves("Legal"))}},
			{name: "13 files the logs of a room and of its folder both tell of", watched: []string{"Sales", "Drafts", "Legal"},
				acts: []act{repeat(13, seconds, mallory.movesDraft("Legal"))}},
			{name: "13 files in each of two portals", acts: []act{repeat(13, seconds, mallory.moves("Legal"))},
				elsewhere: []act{repeat(13, seconds, mallory.moves("Legal"))}},
			{name: "25 files deleted", acts: []act{repeat(25, seconds, mallory.trashes())}},
			{name: "25 files seen by the room they came to only", watched: []string{"Legal"}, acts: []act{repeat(25, seconds, mallory.moves("Legal"))}},
		},
	},

	"docspace_room_copied_or_index_exported": {
		fires: []scenario{
			{name: "copied", acts: []act{mallory.copiesRoom}},
			{name: "index exported", acts: []act{mallory.exportsIndex()}},
		},
		quiet: []scenario{{name: "a room made, and its index used", acts: []act{mallory.createsRoom, mallory.enablesIndex()}}},
	},

	"docspace_room_archived": {
		fires: []scenario{{name: "archived", acts: []act{mallory.archives()}}},
		quiet: []scenario{{name: "taken back from the archive, where it was before", acts: []act{mallory.unarchives()}}},
	},

	"docspace_form_anonymous_flood": {
		fires: []scenario{
			{name: "opened and sent 50 times in five minutes", acts: []act{repeat(50, 6*seconds, anybody.opensForm(), anybody.submitsForm())}},
		},
		quiet: []scenario{
			{name: "49 times", acts: []act{repeat(49, seconds, anybody.opensForm())}},
			{name: "50 times in more than five minutes", acts: []act{repeat(50, 7*seconds, anybody.opensForm())}},
			{name: "two forms", acts: []act{repeat(50, seconds, anybody.opensForm(), anybody.opensDraft())}},
			{name: "by somebody with an account", acts: []act{repeat(50, seconds, mallory.opensForm())}},
			{name: "before anybody watched", history: []act{repeat(50, seconds, anybody.opensForm())}},
			{name: "25 times, told by the logs of a room and of its folder", watched: []string{"Sales", "Drafts"}, acts: []act{repeat(25, seconds, anybody.opensDraft())}},
			{name: "25 times in each of two portals", acts: []act{repeat(25, seconds, anybody.opensForm())}, elsewhere: []act{repeat(25, seconds, anybody.opensForm())}},
			{name: "a file uploaded over 50 times", acts: []act{repeat(50, seconds, anybody.rewritesAgain)}},
		},
	},

	"docspace_room_quota_exhausted": {
		fires: []scenario{
			{name: "quota of the person and of the room", acts: []act{repeat(3, 7*time.Minute, mallory.exceedsQuota("Sales"), mallory.exceedsRoomQuota("Sales"))}},
			{name: "quota of the room, by several people", acts: []act{repeat(3, seconds, eve.exceedsRoomQuota("Sales"), mallory.exceedsRoomQuota("Sales"))}},
		},
		quiet: []scenario{
			{name: "twice", acts: []act{repeat(2, seconds, mallory.exceedsQuota("Sales"))}},
			{name: "three times in more than 15 minutes", acts: []act{repeat(3, 8*time.Minute, mallory.exceedsQuota("Sales"))}},
			{name: "in two rooms", acts: []act{repeat(4, seconds, mallory.exceedsQuota("Sales"), mallory.exceedsQuota("Legal"))}},
			{name: "in two portals", acts: []act{repeat(2, seconds, mallory.exceedsQuota("Sales"))}, elsewhere: []act{repeat(2, seconds, mallory.exceedsQuota("Sales"))}},
			{name: "before anybody watched", history: []act{repeat(3, seconds, mallory.exceedsQuota("Sales"))}},
			{name: "saved all the same", acts: []act{repeat(3, seconds, mallory.savesOverQuota())}},
		},
	},

	"docspace_agent_created": {
		fires: []scenario{{name: "an agent whose folder is named", acts: []act{mallory.createsAgent}}},
		quiet: []scenario{
			{name: "a room made", acts: []act{mallory.createsRoom}},
			{name: "an agent nobody named", acts: []act{mallory.createsAgentInSecret}},
		},
	},

	"docspace_connector_blind": {
		fires: []scenario{
			{name: "a room denied", acts: []act{denied}, troubled: true},
			{name: "a portal put back to a backup", acts: []act{restored}, troubled: true},
		},
		quiet: []scenario{
			{name: "a portal that fails as a whole for a while", acts: []act{failing, polled, healed}, troubled: true},
			{name: "a row that cannot be shown", acts: []act{poisoned}, troubled: true},
		},
	},

	"docspace_connector_incomplete": {
		fires: []scenario{
			{name: "a row that cannot be shown", acts: []act{poisoned}, troubled: true},
			{name: "a row that came too late", acts: []act{overtaken}, troubled: true},
		},
		quiet: []scenario{{name: "a room denied for a while", acts: []act{denied, polled, healed}, troubled: true}},
	},

	"docspace_connector_log_tampered": {
		fires: []scenario{
			{name: "old rows removed", acts: []act{pruned}, troubled: true},
			{name: "marks removed", acts: []act{unmarked}, troubled: true},
			{name: "a mark changed", acts: []act{remarked}, troubled: true},
		},
		quiet: []scenario{{name: "a row that cannot be shown", acts: []act{poisoned}, troubled: true}},
	},
}

// familiarTypes are the endings docspace_files_renamed_to_unfamiliar_type
// leaves alone.
var familiarTypes = []string{
	"doc", "docx", "docxf", "dotx", "odt", "rtf", "txt", "md", "pdf", "oform", "xls", "xlsx", "xltx", "ods", "csv", "ppt", "pptx", "potx",
	"odp", "png", "jpg", "jpeg", "gif", "svg", "mp3", "mp4", "zip", "html", "json", "xml",
}
