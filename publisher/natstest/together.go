package natstest

import (
	"flag"
	"runtime"
	"strconv"
)

// together is how many tests run at once at least.
const together = 4

// Together lets four tests run at once on fewer processors, unless -parallel says
// otherwise: tests with servers wait for those, for disks and clocks most of the
// time. TestMain calls it.
func Together() {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked && runtime.GOMAXPROCS(0) < together {
		_ = flag.Set("test.parallel", strconv.Itoa(together))
	}
}
