package mutants_test

// checkpointMutants break which objects are filled, and when.
var checkpointMutants = []mutant{
	{
		"unfinished and temporary names are never warmed", "a .tmp is none",
		"internal/layout/names.go", `strings.HasSuffix(part, ".tmp"), `, "",
		"internal/layout", "TestTemporary",
	},
	{
		"unfinished and temporary names are never warmed", "plans do not ask",
		"internal/prestage/planner.go", "	if layout.Temporary(i.Key) || ", "	if layout.Temporary(\"\") || ",
		"internal/prestage", "TestNotices",
	},
	{
		"unfinished and temporary names are never warmed", "they complete a checkpoint",
		"internal/layout/claim.go", "	if Temporary(key) {\n		return nil\n	}\n", "",
		"internal/layout", "TestClaims",
	},
	{
		"a checkpoint that is not whole is not filled for its marker", "what says that it is unfinished does not matter",
		"internal/layout/look.go", "		return []Look{{Absent: self + unfinished}}", "		return nil",
		"internal/layout", "TestCheck",
	},
	{
		"a checkpoint that is not whole is not filled for its marker", "a tracker may name any directory",
		"internal/layout/tracker.go", ` || strings.ContainsAny(s, "/\\")`, "",
		"internal/layout", "TestNamed",
	},
	{
		"a checkpoint that is not whole is incomplete", "what its format wants does not matter",
		"internal/prestage/survey.go", "	return s.shards.missing(), s.check.Missing(), nil", `	return s.shards.missing(), "", nil`,
		"internal/prestage", "TestPrefixLayout",
	},
	{
		"a checkpoint that is not whole is incomplete", "shards that an index names do not matter",
		"internal/prestage/survey.go", "	return s.shards.missing(), s.check.Missing(), nil", `	return "", s.check.Missing(), nil`,
		"internal/prestage", "TestPlan",
	},
	{
		"plan --no-index reads no index file", "it reads those that it lists",
		"internal/prestage/survey.go", "isIndex(a) && s.check.Of(a.Key) && !w.req.NoIndex {", "isIndex(a) && s.check.Of(a.Key) {",
		"internal/prestage", "TestPlan",
	},
	{
		"with policy atomic nothing is filled early", "a part is filled on its own event",
		"internal/prestage/claims.go", `	if i.Skip == "" && n.policy(i.Ref) == rules.Atomic && layout.Awaits(i.Key, n.named(i.Ref)) {`, "	if false {",
		"internal/prestage", "TestNotices",
	},
	{
		"with policy atomic nothing is filled early", "what was held back is filled without its marker",
		"internal/prestage/claims.go", "		if !n.whole.has(i.Ref) {", "		if false {",
		"internal/prestage", "TestNotices",
	},
	{
		"with policy atomic nothing is filled early", "a prefix is filled while it is listed",
		"internal/prestage/listing.go", "	if w.policy(prefix) == rules.Atomic && !w.req.NoIndex {", "	if false && w.policy(prefix) == rules.Atomic {",
		"internal/prestage", "TestPrefixLayout",
	},
	{
		"with policy atomic nothing is filled early", "fewer objects than announced are enough",
		"internal/prestage/listing.go", "	if w.checkTotals(sum.Objects, sum); len(w.sum.Problems) > 0 {", "	if false {",
		"internal/prestage", "TestPrefixLayout",
	},
	{
		"with policy atomic nothing is filled early", "what cannot be listed is let go",
		"internal/prestage/claims.go", "	case e.Class == outcome.Failed, !c.atomic && (", "	case e.Class == outcome.Failed, (",
		"internal/prestage", "TestNoticeAndTrouble",
	},
	{
		"rules say what is warmed", "exclude is not looked at",
		"internal/rules/explain.go", "	case i >= 0:", "	case i >= 0 && false:",
		"internal/rules", "TestSkip",
	},
	{
		"rules say what is warmed", "include is not looked at",
		"internal/rules/explain.go", "	case len(r.Include) > 0 && !", "	case false && !",
		"internal/rules", "TestSkip",
	},
	{
		"rules say what is warmed", "max_bytes is not looked at",
		"internal/rules/explain.go", "	case r.MaxBytes > 0 && size > r.MaxBytes:", "	case false:",
		"internal/rules", "TestSkip",
	},
	{
		"rules say what is warmed", "min_bytes is not looked at",
		"internal/rules/rule.go", "	if r.MinBytes != nil {", "	if false {",
		"internal/rules", "TestSkip",
	},
	{
		"rules say what is warmed", "clusters is not looked at",
		"internal/rules/explain.go", "	case !r.For(cluster):", "	case false:",
		"internal/rules", "TestSkip",
	},
	{
		"rules say what is warmed", "keep is not looked at",
		"internal/prestage/planner.go", " || !rule.Keep.Wants(i.Key) {", " {",
		"internal/prestage", "TestNotices",
	},
	{
		"rules say what is warmed", "the last rule counts",
		"internal/rules/set.go", "			return s.Rules[i]\n", "			return s.Rules[len(s.Rules)-1]\n",
		"internal/rules", "TestFor",
	},
	{
		"warm uses NATS only when NATS_URL is set", "it always does",
		"cmd/consumer/warm.go", "	if !w.natsNamed() {", "	if false {",
		"cmd/consumer", "TestWarm",
	},
	{
		"rules say what is warmed", "what no rule wants here is listed all the same",
		"internal/prestage/planner.go", "	if w.rules.Reach(w.cluster, ", "	if true || w.rules.Reach(w.cluster, ",
		"internal/prestage", "TestPlanByRules",
	},
	{
		"rules say what is warmed", "a file that is broken later takes all of them away",
		"internal/rules/live.go", "	l.now.Store(&loaded{set: was.set, err: err})", "	l.now.Store(&loaded{err: err})",
		"internal/rules", "TestLive",
	},
	{
		"fewer objects than announced is incomplete", "markers of folders count",
		"internal/prestage/listing.go", `		if a.Size == 0 && strings.HasSuffix(a.Key, "/") {`, "		if false {",
		"internal/prestage", "TestPlan",
	},
	{
		"fewer objects than announced is incomplete", "bytes are not compared",
		"internal/prestage/planner.go", "	case sum.Unsized == 0 && sum.Bytes < w.req.TotalBytes:", "	case false:",
		"internal/prestage", "TestPlan",
	},
	{
		"a prefix without any object is a missing one", "it is complete",
		"internal/prestage/listing.go", "	if w.found == 0 {", "	if false {",
		"internal/prestage", "TestPlan",
	},
	{
		"a prefix is listed again until nothing new appears", "for ever",
		"internal/prestage/warmer.go", "const maxRelists = 3", "const maxRelists = 300",
		"internal/prestage", "TestRelisting",
	},
	{
		"fewer objects than announced is incomplete", "bytes that nobody listed are not compared",
		"internal/prestage/warmer.go", "bytes >= e.req.TotalBytes {", "true {",
		"internal/prestage", "TestAnnouncedBytes",
	},
}
