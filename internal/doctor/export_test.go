package doctor

// For tests of how facts are read.
var (
	ParseMemory   = parseMemory
	Ignores       = ignores
	DropsByPolicy = dropsByPolicy
	InputDrops    = inputDrops
	ParsePasses   = func(dump string) []Pass { return passes(parseNginx(dump)) }
	NginxTime     = nginxTime
)
