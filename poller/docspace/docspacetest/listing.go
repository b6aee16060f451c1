package docspacetest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Values of searchArea.
const (
	areaActive    = 0
	areaArchive   = 1
	areaAny       = 2
	areaTemplates = 4
)

// roomList answers GET files/rooms.
func (p *Portal) roomList(c call) *reply {
	p.mu.RLock()
	defer p.mu.RUnlock()
	area, text := 0, ""
	if text, _ = param(c.query, "searchArea"); text != "" {
		area = areaOf(text)
	}
	var rooms []*folder
	current := p.roomsRoot
	switch {
	case area == areaActive:
		rooms = slices.Concat(p.roomsRoot.children, p.external)
	case area == areaArchive:
		rooms, current = p.archive.children, p.archive
	case area == areaAny:
		rooms = slices.Concat(p.roomsRoot.children, p.archive.children, p.external)
	case area == areaTemplates && c.profile.has(templatesKnown):
		rooms, current = p.templates.children, p.templates
	default:
		return invalid(c, []problem{{"searchArea", "The value '" + text + "' is not valid for SearchArea."}})
	}
	return p.listed(c, current, rooms)
}

// agentList answers GET ai/agents.
func (p *Portal) agentList(c call) *reply {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.listed(c, p.agents, p.agents.children)
}

func areaOf(text string) int {
	for i, name := range []string{"Active", "Archive", "Any", "RecentByLinks", "Templates"} {
		if strings.EqualFold(text, name) {
			return i
		}
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return -1
}

// listed is a page of those rooms the caller may see.
func (p *Portal) listed(c call, current *folder, rooms []*folder) *reply {
	q, problems := parsePaging(c.profile, c.query)
	if len(problems) > 0 {
		return invalid(c, problems)
	}
	internal, _ := param(c.query, "storageFilter")
	wanted, _ := param(c.query, "filterValue")
	rooms = slices.DeleteFunc(slices.Clone(rooms), func(f *folder) bool {
		return !f.readable(c.caller.user) ||
			f.externalID != "" && (internal == "1" || strings.EqualFold(internal, "Internal")) ||
			!strings.Contains(strings.ToLower(f.place.title), strings.ToLower(wanted))
	})
	sortRooms(rooms, c)
	total := len(rooms)
	rooms = rooms[min(max(q.start, 0), total):]
	rooms = rooms[:min(q.count, len(rooms))]
	return p.content(c, current, nil, rooms, q.start, total)
}

// sortRooms orders by title when asked for it, else newest first, as the
// server does by last change.
func sortRooms(rooms []*folder, c call) {
	by, _ := param(c.query, "sortBy")
	order, _ := param(c.query, "sortOrder")
	less := func(a, b *folder) int { return b.created.Compare(a.created) }
	if strings.EqualFold(by, "AZ") {
		less = func(a, b *folder) int { return strings.Compare(a.place.title, b.place.title) }
	}
	slices.SortStableFunc(rooms, less)
	if strings.EqualFold(order, "descending") && by != "" {
		slices.Reverse(rooms)
	}
}

// contents answers GET files/{id}.
func (p *Portal) contents(c call) *reply {
	q, problems := parsePaging(c.profile, c.query)
	if len(problems) > 0 {
		return invalid(c, problems)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	f := p.folders[c.Folder]
	if refused := p.refuse(c, f); refused != nil {
		return refused
	}
	total := len(f.children) + len(f.files)
	start := max(q.start, 0)
	folders := f.children[min(start, len(f.children)):]
	folders = folders[:min(q.count, len(folders))]
	files := f.files[min(max(start-len(f.children), 0), len(f.files)):]
	files = files[:min(q.count-len(folders), len(files))]
	return p.content(c, f, files, folders, q.start, total)
}

func (p *Portal) content(c call, current *folder, files []*document, folders []*folder, start, total int) *reply {
	w := writer{b: []byte(`{"response":{`)}
	w.array("files")
	for _, f := range files {
		w.item()
		w.num("id", int64(f.id))
		w.num("folderId", int64(f.parent.id))
		w.num("version", int64(f.version))
		w.str("title", f.title)
		w.date("created", f.created, p.zone, false)
		w.user("createdBy", f.owner, c.base)
		w.num("fileEntryType", 2)
		w.endObject()
	}
	w.endArray()
	w.array("folders")
	for _, f := range folders {
		w.item()
		p.folder(&w, c, f)
		w.endObject()
	}
	w.endArray()
	w.object("current")
	p.folder(&w, c, current)
	w.endObject()
	w.array("pathParts")
	w.path(current)
	w.endArray()
	w.num("startIndex", int64(start))
	w.num("count", int64(len(files)+len(folders)))
	w.num("total", int64(total))
	w.num("new", 0)
	w.endObject()
	w.num("count", 1)
	w.tail(c)
	return &reply{status: http.StatusOK, kind: contentJSON, body: w.b}
}

func (w *writer) path(f *folder) {
	if f.parent != nil {
		w.path(f.parent)
	}
	w.item()
	w.num("id", int64(f.id))
	w.str("title", f.place.title)
	w.endObject()
}

// folder writes the fields of a folder or room.
func (p *Portal) folder(w *writer, c call, f *folder) {
	root := f.root()
	if f.parent != nil {
		w.num("parentId", int64(f.parent.id))
	}
	w.num("filesCount", int64(len(f.files)))
	w.num("foldersCount", int64(len(f.children)))
	w.num("new", 0)
	w.flag("mute", false)
	if f.room != 0 {
		w.array("tags")
		for _, tag := range f.tags {
			w.comma()
			w.value(tag)
		}
		w.endArray()
		w.key("logo")
		w.raw(`{"original":"","large":"","medium":"","small":"","color":"61C059"}`)
		w.flag("pinned", false)
		w.num("roomType", int64(f.room))
		w.flag("private", false)
		w.flag("indexing", false)
		w.flag("denyDownload", false)
	}
	if f.externalID != "" {
		w.str("id", f.externalID)
		w.flag("providerItem", true)
		w.str("providerKey", "DropboxV2")
	} else {
		w.num("id", int64(f.id))
	}
	w.num("rootFolderId", int64(root.id))
	w.flag("canShare", c.caller.user == f.owner)
	w.key("security")
	w.raw(`{"Read":true,"Create":true,"Delete":true,"Rename":true}`)
	w.str("title", f.place.title)
	w.num("access", 0)
	w.flag("shared", false)
	w.date("created", f.created.Unix(), p.zone, false)
	w.user("createdBy", f.owner, c.base)
	w.date("updated", f.created.Unix(), p.zone, false)
	w.num("rootFolderType", int64(root.place.kind))
	w.user("updatedBy", f.owner, c.base)
	w.num("fileEntryType", 1)
}

// folderInfo answers GET files/folder/{id}.
func (p *Portal) folderInfo(c call) *reply {
	p.mu.RLock()
	f := p.folders[c.Folder]
	refused := p.refuse(c, f)
	p.mu.RUnlock()
	switch {
	case refused != nil && refused.status == http.StatusForbidden:
		return failure(http.StatusForbidden, "System.InvalidOperationException", "You don't have permission to view the folder")
	case refused != nil:
		return refused
	}
	return p.object(c, func(w *writer) { p.folder(w, c, f) })
}
