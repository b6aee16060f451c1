package docspacetest

// A shape is the layout of an entry's data. The server sends no name for it;
// which one an action uses is a fact of its code.
type shape uint8

const (
	shapeNone          shape = iota // no data at all
	shapeFile                       // a file in its folder
	shapeFileCreated                // the same without viewUrl
	shapeFileEdited                 // a file and the name of who saved it
	shapeFileRenamed                // old and new title
	shapeFileOperation              // moved or copied
	shapeFileIndex                  // reordered
	shapeFileVersion                // one version removed
	shapeEntry                      // title and id
	shapeEntryParent                // and the folder it lies in
	shapeFolderCreated              // and the type of folder
	shapeOperation                  // folder moved or copied
	shapeRenamed                    // old and new title of a room
	shapeFolderRenamed              // and the folder it lies in
	shapeFolderIndex                // reordered
	shapeLifeTime
	shapeUser
	shapeGroup
	shapeOwner
	shapeTags
	shapeLinkCreated
	shapeLinkRenamed
	shapeLinkDeleted
	shapeLinkRevoked
)

// merging says whether rows of an action are shown together, and by what.
type merging uint8

const (
	mergeNever   merging = iota
	mergeMinute          // same person and minute
	mergeParent          // and the same folder
	mergeMove            // and the same two folders
	mergeReorder         // the context of the reorder and nothing else
)

// A kind describes one stored action code.
type kind struct {
	code  int
	key   string // the server's name for it
	shape shape
	as    int // the code it is reported as; 0: its own
	merge merging
	since profile // the first that keeps it for the logs of folders
}

// kinds is every action code that reaches a folder's log.
var kinds = []kind{
	{code: 5000, key: "FileCreated", shape: shapeFileCreated},
	{code: 5001, key: "FileRenamed", shape: shapeFileRenamed},
	{code: 5006, key: "FileLocked", shape: shapeFile, since: v304},
	{code: 5007, key: "FileUnlocked", shape: shapeFile, since: v304},
	{code: 5011, key: "FileUploaded", shape: shapeFile, merge: mergeParent},
	{code: 5013, key: "FileCopied", shape: shapeFileOperation, merge: mergeMove},
	{code: 5014, key: "FileCopiedWithOverwriting", shape: shapeFileOperation, as: 5013, merge: mergeMove},
	{code: 5015, key: "FileMoved", shape: shapeFileOperation, merge: mergeMove},
	{code: 5016, key: "FileMovedWithOverwriting", shape: shapeFileOperation, as: 5015, merge: mergeMove},
	{code: 5017, key: "FileMovedToTrash", shape: shapeEntry},
	{code: 5018, key: "FileDeleted", shape: shapeEntry, merge: mergeMinute},
	{code: 5019, key: "FolderCreated", shape: shapeFolderCreated},
	{code: 5020, key: "FolderRenamed", shape: shapeFolderRenamed},
	{code: 5022, key: "FolderCopied", shape: shapeOperation, merge: mergeMove},
	{code: 5023, key: "FolderCopiedWithOverwriting", shape: shapeOperation, as: 5022, merge: mergeMove},
	{code: 5024, key: "FolderMoved", shape: shapeOperation, merge: mergeMove},
	{code: 5025, key: "FolderMovedWithOverwriting", shape: shapeOperation, as: 5024, merge: mergeMove},
	{code: 5026, key: "FolderMovedToTrash", shape: shapeEntry},
	{code: 5027, key: "FolderDeleted", shape: shapeEntry, merge: mergeMinute},
	{code: 5034, key: "UserFileUpdated", shape: shapeFileEdited},
	{code: 5035, key: "FileConverted", shape: shapeEntryParent, merge: mergeParent},
	{code: 5044, key: "FileRestoreVersion", shape: shapeFile, as: 5034},
	{code: 5070, key: "RoomCreated", shape: shapeEntry},
	{code: 5071, key: "RoomRenamed", shape: shapeRenamed},
	{code: 5072, key: "RoomArchived", shape: shapeEntry, since: v304},
	{code: 5073, key: "RoomUnarchived", shape: shapeEntry, since: v304},
	{code: 5075, key: "RoomUpdateAccessForUser", shape: shapeUser},
	{code: 5078, key: "AddedRoomTags", shape: shapeTags},
	{code: 5079, key: "DeletedRoomTags", shape: shapeTags},
	{code: 5080, key: "RoomLogoCreated", shape: shapeNone},
	{code: 5081, key: "RoomLogoDeleted", shape: shapeNone},
	{code: 5084, key: "RoomRemoveUser", shape: shapeUser},
	{code: 5085, key: "RoomCreateUser", shape: shapeUser, merge: mergeMinute},
	{code: 5088, key: "RoomExternalLinkCreated", shape: shapeLinkCreated},
	{code: 5090, key: "RoomExternalLinkDeleted", shape: shapeLinkDeleted},
	{code: 5094, key: "RoomGroupAdded", shape: shapeGroup, merge: mergeMinute},
	{code: 5095, key: "RoomUpdateAccessForGroup", shape: shapeGroup},
	{code: 5096, key: "RoomGroupRemove", shape: shapeGroup},
	{code: 5097, key: "RoomExternalLinkRevoked", shape: shapeLinkRevoked},
	{code: 5098, key: "RoomExternalLinkRenamed", shape: shapeLinkRenamed},
	{code: 5099, key: "FileUploadedWithOverwriting", shape: shapeFile, as: 5034},
	{code: 5100, key: "RoomCopied", shape: shapeEntry},
	{code: 5102, key: "RoomColorChanged", shape: shapeNone, since: v304},
	{code: 5103, key: "RoomCoverChanged", shape: shapeNone, since: v304},
	{code: 5106, key: "RoomIndexExportSaved", shape: shapeEntry, since: v304},
	{code: 5107, key: "FolderIndexChanged", shape: shapeFolderIndex, merge: mergeReorder, since: v304},
	{code: 5108, key: "FolderIndexReordered", shape: shapeEntryParent, since: v304},
	{code: 5109, key: "RoomDenyDownloadEnabled", shape: shapeEntry, since: v304},
	{code: 5110, key: "RoomDenyDownloadDisabled", shape: shapeEntry, since: v304},
	{code: 5111, key: "FileIndexChanged", shape: shapeFileIndex, merge: mergeReorder, since: v304},
	{code: 5112, key: "RoomWatermarkSet", shape: shapeEntry, since: v304},
	{code: 5113, key: "RoomWatermarkDisabled", shape: shapeEntry, since: v304},
	{code: 5114, key: "RoomIndexingEnabled", shape: shapeEntry, since: v304},
	{code: 5115, key: "RoomIndexingDisabled", shape: shapeEntry, since: v304},
	{code: 5116, key: "RoomLifeTimeSet", shape: shapeLifeTime, since: v304},
	{code: 5117, key: "RoomLifeTimeDisabled", shape: shapeLifeTime, since: v304},
	{code: 5118, key: "RoomInviteResend", shape: shapeUser, merge: mergeMinute, since: v304},
	{code: 5119, key: "FileVersionRemoved", shape: shapeFileVersion, since: v311},
	{code: 5120, key: "FileCustomFilterEnabled", shape: shapeFile, since: v311},
	{code: 5121, key: "FileCustomFilterDisabled", shape: shapeFile, since: v311},
	{code: 5150, key: "FormStartedToFill", shape: shapeFileEdited, since: v311},
	{code: 5151, key: "FormPartiallyFilled", shape: shapeFileEdited, since: v311},
	{code: 5152, key: "FormCompletelyFilled", shape: shapeFileEdited, since: v311},
	{code: 5153, key: "FormStopped", shape: shapeFileEdited, since: v311},
	{code: 5154, key: "AgentCreated", shape: shapeEntry, since: v361},
	{code: 5155, key: "AgentRenamed", shape: shapeRenamed, since: v361},
	{code: 5159, key: "RoomChangeOwner", shape: shapeOwner, since: v372},
	{code: 5201, key: "FileSavedButUserQuotaExceeded", shape: shapeFileEdited, since: v372},
	{code: 5202, key: "FileNotSavedDueToUserQuota", shape: shapeFileEdited, since: v372},
	{code: 5203, key: "FileSavedButRoomQuotaExceeded", shape: shapeFileEdited, since: v372},
	{code: 5204, key: "FileNotSavedDueToRoomQuota", shape: shapeFileEdited, since: v372},
	{code: 6046, key: "FormSubmit", shape: shapeFileEdited},
	{code: 6047, key: "FormOpenedForFilling", shape: shapeFileEdited},
}

var kindByCode = func() map[int]*kind {
	m := make(map[int]*kind, len(kinds))
	for i := range kinds {
		m[kinds[i].code] = &kinds[i]
	}
	return m
}()

// reported is the kind a row is shown as.
func (k *kind) reported(v profile) *kind {
	switch {
	case k.as != 0:
		return kindByCode[k.as]
	case v.has(trashIsDeletion) && k.code == 5017:
		return kindByCode[5018]
	case v.has(trashIsDeletion) && k.code == 5026:
		return kindByCode[5027]
	}
	return k
}

// overtakes reports whether the server writes the row at once, while those of
// other actions wait in the message queue.
func (k *kind) overtakes(v profile) bool {
	switch k.code {
	case 5084, 5154:
		return true
	case 5070:
		return v.has(roomsOvertake)
	case 6047:
		return v.has(formsOvertake)
	}
	return false
}

func (k *kind) operation() bool { return k.shape == shapeFileOperation || k.shape == shapeOperation }
