package sink

import "os"

// lock does nothing: nobody can write to a file here that another
// process has open, unless both say so.
func lock(*os.File) error { return nil }

// keepEntry does nothing: names of files are kept without being asked for.
func keepEntry(string) error { return nil }
