package mutants_test

// inputMutants break what is made of an event.
var inputMutants = []mutant{
	{
		"every event ends once, in what its receipt says", "its time may be one that no receipt can hold",
		"internal/events/node.go", "err != nil || t.Year() < 0 || t.Year() > 9999 {", "err != nil {",
		"internal/events", "TestCorpora",
	},
	{
		"fewer objects than announced is incomplete", "totals are not compared",
		"internal/prestage/planner.go", "	case found < w.req.TotalObjects:", "	case false:",
		"internal/prestage", "TestPlan",
	},
	{
		"a checkpoint that is not whole is not filled for its marker", "what is missing does not matter",
		"internal/prestage/claims.go", "	if !found.whole {", "	if false {",
		"internal/prestage", "TestNotices",
	},
	{
		"small objects are skipped", "the threshold is not compared",
		"internal/rules/rule.go", "	case size != object.UnknownSize && size <= minBytes:", "	case size != object.UnknownSize && size < 0:",
		"integration", "TestManyObjects",
	},
	{
		"a whole bucket is not made hot by an event", "it is",
		"internal/prestage/listing.go", `	case prefix.Key == "" && !w.req.WholeBucket && !w.rule(prefix).WholeBucket:`, "	case false:",
		"internal/prestage", "TestPlan",
	},
	{
		"a missing object is gone where the event is old, or where it was listed", "it is waited for however old the event is",
		"internal/consumer/process.go", "time.Since(stored) > goneAfter,", "false,",
		"internal/consumer", "TestProcessRequest",
	},
	{
		"a missing object is gone where the event is old, or where it was listed", "a listed one is waited for",
		"internal/prestage/fill.go", "(e.req.MissingIsGone || i.Listed)", "e.req.MissingIsGone",
		"internal/prestage", "TestListedAndMissingIsGone",
	},
	{
		"a prefix is listed again until nothing new appears", "it is listed once",
		"internal/prestage/warmer.go", `if e.req.Prefix.Bucket != "" && !e.req.Complete {`, "if false {",
		"internal/prestage", "TestRelisting",
	},
	{
		"a superseded checkpoint is skipped", "one of another run supersedes",
		"internal/consumer/supersede.go", "newer.Run == ev.Run &&", "true &&",
		"internal/consumer", "TestSuperseded",
	},
	{
		"a superseded checkpoint is skipped", "none ever is",
		"internal/consumer/supersede.go", "	if last.Sequence <= d.Seq || ", "	if true || ",
		"internal/consumer", "TestSuperseded",
	},
	{
		"keys are read as their dialect writes them", "a notification's key is taken as it stands",
		"internal/events/s3.go", "url.QueryUnescape(", "url.PathUnescape(",
		"internal/events", "TestKeysSurviveEveryEncoding",
	},
	{
		"hostile input is refused", "a member may come twice",
		"internal/events/json.go", "	if name, ok := members.duplicate(); ok {", "	if name, ok := members.duplicate(); ok && false {",
		"internal/events", "TestCorpora",
	},
	{
		"hostile input is refused", "a URI may hold credentials",
		"internal/object/ref.go", `	if strings.ContainsAny(bucket, "@:") {`, "	if false {",
		"internal/object", "TestParseURI",
	},
	{
		"hostile input is refused", "a bucket name may leave the domain",
		"internal/object/ref.go", "if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {", "if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {",
		"internal/object", "TestCheckBucket",
	},
	{
		"hostile input is refused", "a manifest may list any number of objects",
		"internal/prestage/manifestparser.go", "		if p.count == p.maxObjects {", "		if false {",
		"internal/prestage", "TestManifestIsBounded",
	},
	{
		"an event has an identity, however bad it is", "a refused one has none",
		"internal/events/decode.go", "return Event{ID: ev.ID, Source: ev.Source, Format: ev.Format, TraceParent: ev.TraceParent, TraceState: ev.TraceState}, refuse", "return Event{}, refuse",
		"internal/events", "TestIdentityOfRefusedEvents",
	},
	{
		"hostile input is refused", "payloads in hand may take any memory",
		"internal/consumer/lane.go", "maxInHand  = 32 << 20", "maxInHand  = 32 << 30",
		"integration", "TestLargePayloads",
	},
}
