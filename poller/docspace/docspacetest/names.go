package docspacetest

// Names of people, rooms, folders and files that traffic draws from. Some are
// plain; the others hold what careless code trips over: quotes, markup, line
// breaks, separators of other formats, right-to-left text, characters beyond
// the basic plane.
var (
	peopleNames = []string{
		"Mira Kowalczyk", "Tomás Ferreira", "Aoife O'Neil", "Søren Bjerregaard", "Yuki Tanaka", "Zoë Müller-Lüdenscheidt",
		"Иван Петров", "李小龙", "نورا حداد", "José \"Pepe\" Núñez", "Ngô Thị Hạnh", "A <b>bold</b> & co", "Kim 🦊 Park", "Priya Raghunathan",
	}
	roomNames = []string{
		"Sales", "Legal & Compliance", "Budget 2026", "Projekt „Nordlicht“", "Kundenberatung Zürich", "営業部", "Due diligence | Alpha",
		"R&D <internal>", "Équipe produit", "Onboarding = HR", "الموارد البشرية", "Launch 🚀", "Board\nminutes", "Support",
	}
	folderNames = []string{
		"Contracts", "Drafts", "Done", "Angebote", "Rechnungen 2026", "写真", "From: \"old\" share", "Архив", "Q3/Q4", "a|b=c",
	}
	fileStems = []string{
		"Plan", "Offer", "Minutes", "Protokoll", "Budget", "Résumé", "Ångström notes", "契約書", "Отчёт", "تقرير", "Invoice", "Photo", "Interview",
		"cost = price | 2", "<script>alert(1)</script>", "it's \"final\"", "line\nbreak", "tab\there", "back\\slash", "party 🎉", "100% sure & done", "naïve",
	}
	fileExtensions = []string{
		".docx", ".docx", ".docx", ".xlsx", ".xlsx", ".pptx", ".pdf", ".pdf", ".png", ".jpg", ".txt", ".mp4", ".odt", ".zip", "",
	}
	accessNames = []string{"Viewer", "Commenter", "Reviewer", "Editor", "Content Creator", "Room Manager", "Bearbeiter", "閲覧者", ""}
	groupNames  = []string{"QA", "Vertrieb", "Legal, external", "開発"}
	tagNames    = []string{"alpha", "urgent", "2026", "in Prüfung", "a, b", "機密"}
)
