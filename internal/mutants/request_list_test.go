package mutants_test

// requestMutants break what is asked of the store.
var requestMutants = []mutant{
	{
		"one request fills: HEAD with Range bytes=0-0", "another range is asked for",
		"internal/prestage/head.go", `const oneByte = "bytes=0-0"`, `const oneByte = "bytes=0-1"`,
		"integration", "TestOneEventOneFill",
	},
	{
		"one request fills: HEAD with Range bytes=0-0", "a plain HEAD has the range, too",
		"internal/prestage/head.go", `return h.ask(ctx, "head", ref, "")`, `return h.ask(ctx, "head", ref, oneByte)`,
		"internal/prestage", "TestKeysGoOutAsTheyAre",
	},
	{
		"one request fills: HEAD with Range bytes=0-0", "a dry run fills",
		"internal/prestage/dry.go", "{ return s.Head(ctx, ref) }", "{ return s.Filler.Fill(ctx, ref) }",
		"internal/prestage", "TestDryRun",
	},
	{
		"buckets are addressed by host name", "the bucket is left out of the host",
		"internal/prestage/head.go", `	host := m.ref.Bucket + "." + h.endpoint.Host`, `	host := h.endpoint.Host`,
		"integration", "TestOneEventOneFill",
	},
	{
		"requests go to a bucket of the LOTA endpoint only", "the last check before sending is left out",
		"internal/prestage/transport.go", "	if err := s.check(r); err != nil {", "	if err := error(nil); err != nil {",
		"internal/prestage", "TestNothingGoesElsewhere",
	},
	{
		"requests go to a bucket of the LOTA endpoint only", "redirects are followed",
		"internal/prestage/s3.go", "return http.ErrUseLastResponse }", "return nil }",
		"internal/prestage", "TestRedirectsAreNotFollowed",
	},
	{
		"requests go to a bucket of the LOTA endpoint only", "HTTP_PROXY is used",
		"internal/prestage/transport.go", "		DisableCompression:     true,", "		DisableCompression:     true, Proxy: http.ProxyFromEnvironment,",
		"internal/prestage", "TestNoProxyIsUsed",
	},
	{
		"a bucket outside PRESTAGE_BUCKETS gets no request", "every bucket is allowed",
		"internal/prestage/planner.go", "	if !w.buckets.Allow(ref.Bucket) {", "	if false {",
		"integration", "TestDeadLetters",
	},
	{
		"only LOTA is asked to fill", "cwobject.com is taken",
		"internal/app/validate.go", `	if host == "cwobject.com" || `, `	if `,
		"internal/app", "TestLOTAEndpoint",
	},
	{
		"a fill is what the store says it is", "an answer about other bytes is one",
		"internal/prestage/answer.go", "!strings.HasPrefix(contentRange, begin)", "contentRange == begin",
		"internal/prestage", "TestAnswers",
	},
	{
		"a fill is what the store says it is", "any 2xx is a success",
		"internal/prestage/answer.go", "	case http.StatusText(r.status) == \"\" || success(r.status):\n		return Answer{}, errUnexpected\n", "	case success(r.status):\n",
		"internal/prestage", "TestAnswers",
	},
	{
		"a fill is what the store says it is", "what is no listing is an empty one",
		"internal/prestage/answer.go", "if out.Name == nil && ", "if false && ",
		"internal/prestage", "TestCutListing",
	},
	{
		"a fill is what the store says it is", "a listing may loop",
		"internal/prestage/listing.go", `if got.page.Next != "" && got.page.Next == token {`, "if false {",
		"internal/prestage", "TestPlan",
	},
	{
		"a fill is what the store says it is", "headers may have any size",
		"internal/prestage/transport.go", "MaxResponseHeaderBytes: maxHeaderBytes,", "MaxResponseHeaderBytes: 64 << 20,",
		"internal/prestage", "TestBrokenAnswers",
	},
	{
		"a skewed clock is set right", "the bare 403 is believed",
		"internal/prestage/head.go", "if err == nil && r.status == http.StatusForbidden && ", "if false && ",
		"internal/prestage", "TestClockIsSetRight",
	},
}
