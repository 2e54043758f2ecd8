package mutants_test

// recordMutants break what is known to be filled.
var recordMutants = []mutant{
	{
		"what is on record is not filled again", "the ledger forgets",
		"internal/dedupe/judge.go", "	case now.Sub(e.At) > ttl && (!own || c.Replayed):", "	case true:",
		"integration", "TestSameEventFiveTimes",
	},
	{
		"what is on record is not filled again", "a receipt does not wait for the ledger",
		"internal/prestage/fill.go", "	if err := <-stored; err != nil && ctx.Err() != nil {", "	if err := error(nil); err != nil && ctx.Err() != nil {",
		"internal/prestage", "TestWritesAreConfirmed",
	},
	{
		"what is on record is not filled again", "a record without the newest time is asked about for ever",
		"internal/dedupe/judge.go", "	return c.EventTime.After(e.EventTime) && c.EventTime.After(e.At.Add(-ClockSkew))", "	return true",
		"internal/dedupe", "TestJudge",
	},
	{
		"a record counts for PRESTAGE_DEDUPE_TTL", "it counts for ever",
		"internal/dedupe/judge.go", "	case now.Sub(e.At) > ttl && (!own || c.Replayed):", "	case false:",
		"internal/dedupe", "TestJudge",
	},
	{
		"records older than rewarm_before do not count", "they do",
		"internal/dedupe/judge.go", "	case e.At.Before(c.RewarmBefore) && (", "	case false && (",
		"internal/dedupe", "TestJudge",
	},
	{
		"an overwritten key is filled again", "another ETag counts as the same version",
		"internal/dedupe/judge.go", "	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):\n		return Fill\n", "	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):\n		return Warm\n",
		"integration", "TestOverwrittenKeyIsFilledAgain",
	},
	{
		"an overwritten key is filled again", "a fill that was asked for before the event counts for it",
		"internal/dedupe/flight.go", "if r.asked.IsZero() || r.asked.After(c.Seen) {", "if true {",
		"integration", "TestOverwrittenWhileFilling",
	},
	{
		"an overwritten key is filled again", "another version id counts as the same version",
		"internal/dedupe/judge.go", "	switch {\n	case differ(e.ETag, c.ETag) || differ(e.ID, c.ID):\n		return Fill", "	switch {\n	case differ(e.ETag, c.ETag):\n		return Fill",
		"internal/dedupe", "TestJudge",
	},
	{
		"an overwritten key is filled again", "a later Last-Modified is not looked at",
		"internal/dedupe/judge.go", "	case c.LastModified.After(e.LastModified):\n", "	case false:\n",
		"internal/dedupe", "TestJudge",
	},
	{
		"an overwritten key is filled again", "nobody asks what is there now",
		"internal/dedupe/judge.go", "			return Ask // the same bytes", "			return Warm // the same bytes",
		"internal/dedupe", "TestJudge",
	},
	{
		"an older version is skipped", "sequencers are not compared",
		"internal/dedupe/judge.go", "			return Older\n", "			return Fill\n",
		"internal/dedupe", "TestJudge",
	},
}
