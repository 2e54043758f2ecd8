package run

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
	"github.com/prestage/prestage/internal/object"
)

// Options are the command's flags; Defaults has the values that their tags name.
type Options struct {
	LOTAAddr    string `name:"lota-addr" group:"Listeners" placeholder:"HOST:PORT" help:"LOTA: http://<bucket>.cwlota.com (${default})." default:"127.0.0.1:9000"`
	PrimaryAddr string `name:"primary-addr" group:"Listeners" placeholder:"HOST:PORT" help:"The store itself, which never fills the cache: <bucket>.cwobject.com (${default})." default:"127.0.0.1:9001"`
	AdminAddr   string `name:"admin-addr" group:"Listeners" placeholder:"HOST:PORT" help:"What became of each request, what is cached, faults (${default}). No authentication: keep it on loopback." default:"127.0.0.1:9002"`
	SecondLOTA  string `name:"second-lota-addr" group:"Listeners" placeholder:"HOST:PORT" help:"LOTA of a second cluster: the same objects, another cache. Without it there is one cluster."`
	SecondAdmin string `name:"second-admin-addr" group:"Listeners" placeholder:"HOST:PORT" help:"Admin listener of the second cluster (${default})." default:"127.0.0.1:9012"`

	Data      string   `name:"data" group:"Store" placeholder:"DIR" help:"Folder that keeps the objects. Without one they are gone at the end." type:"path"`
	Buckets   []string `name:"bucket" group:"Store" placeholder:"NAME" help:"Buckets to create (${default})." default:"ckpt,models"`
	Versioned []string `name:"versioned-bucket" group:"Store" placeholder:"NAME" help:"Buckets to create that keep versions."`
	Foreign   []string `name:"foreign-bucket" group:"Store" placeholder:"NAME" help:"Buckets of another customer: 403 to everybody."`
	AccessKey string   `name:"access-key" group:"Store" placeholder:"ID" help:"Access key id (${default})." default:"lotasim"`
	SecretKey string   `name:"secret-key" group:"Store" placeholder:"KEY" help:"Secret access key (${default})." default:"lotasim-secret"`
	ListOnly  string   `name:"list-only-key" group:"Store" placeholder:"ID" help:"A second access key id, of the same secret, that may list the buckets named above but not read: HeadObject is 403."`
	Region    string   `name:"region" group:"Store" placeholder:"ZONE" help:"Region that requests must be signed for (${default})." default:"US-EAST-04A"`

	Nodes            int           `name:"nodes" group:"Cache" placeholder:"N" help:"Nodes of the cache (${default})." default:"2"`
	NodeBytes        int64         `name:"node-bytes" group:"Cache" placeholder:"BYTES" help:"Capacity of a node (${default}); a real one gives 1 TiB." default:"17179869184"`
	MinCacheBytes    int64         `name:"min-cache-bytes" group:"Cache" placeholder:"BYTES" help:"Largest size that is never cached (${default})." default:"4000000"`
	CacheTTL         time.Duration `name:"cache-ttl" group:"Cache" placeholder:"TIME" help:"How long after its fill an object is dropped; 0: never." default:"0s"`
	FullCacheRefuses bool          `name:"full-cache-refuses" group:"Cache" help:"A fill that does not fit comes to nothing, in place of evicting the least recently used objects."`
	RefillLost       bool          `name:"refill-lost" group:"Cache" help:"What a lost node held is filled again without being asked for."`

	RangedStatus       int                   `name:"ranged-status" group:"Unknowns of LOTA" placeholder:"STATUS" help:"Answer to a ranged HEAD: 206 (default) or 200." default:"206"`
	EmptyStatus        int                   `name:"empty-status" group:"Unknowns of LOTA" placeholder:"STATUS" help:"Answer to a ranged HEAD of an empty object: 416 (default) or 200." default:"416"`
	Synchronous        bool                  `name:"synchronous" group:"Unknowns of LOTA" help:"A ranged HEAD answers when the fill is done, not before."`
	GetDuringFill      lotasim.GetDuringFill `name:"get-during-fill" group:"Unknowns of LOTA" placeholder:"WAY" help:"A GET that meets a fill: ${enum} (default: the first)." enum:"read-through,join,await" default:"read-through"`
	Refill             bool                  `name:"refill" group:"Unknowns of LOTA" help:"A ranged HEAD of what is cached or being filled fills again."`
	AnyRangeFills      bool                  `name:"any-range-fills" group:"Unknowns of LOTA" help:"Every Range on a HEAD fills, not only bytes=0-0."`
	PlainHeadFills     bool                  `name:"plain-head-fills" group:"Unknowns of LOTA" help:"A HEAD without a Range fills too."`
	FillOnPut          bool                  `name:"fill-on-put" group:"Unknowns of LOTA" help:"An object that is put through LOTA is cached at once."`
	VersionsBypass     bool                  `name:"versions-bypass" group:"Unknowns of LOTA" help:"Requests with a versionId go past the cache, in place of filling the version that they name."`
	HonourCacheControl bool                  `name:"honour-cache-control" group:"Unknowns of LOTA" help:"Requests with Cache-Control: no-cache or no-store go past the cache."`

	UnknownBucketStall   time.Duration `name:"unknown-bucket-stall" group:"Mistakes and faults" placeholder:"TIME" help:"How long a bucket that does not exist hangs on LOTA (${default})." default:"1m"`
	UnknownBucketAnswers bool          `name:"unknown-bucket-answers" group:"Mistakes and faults" help:"A bucket that does not exist is 404 on LOTA too."`
	NewBucketDelay       time.Duration `name:"new-bucket-delay" group:"Mistakes and faults" placeholder:"TIME" help:"How long a bucket created through S3 answers 400 (${default})." default:"1m"`
	NewBucketBare        bool          `name:"new-bucket-bare" group:"Mistakes and faults" help:"That 400 has no body, in place of InvalidRegion."`
	DropProbability      float64       `name:"drop" group:"Mistakes and faults" placeholder:"P" help:"How often, 0 to 1, a fill never happens although its HEAD succeeded (${default})." default:"0"`
	Hostile              bool          `name:"hostile" group:"Mistakes and faults" help:"A bad day, for CI: 503 and 429 with and without Retry-After, 500, 502, 504, resets, latency, slow headers, fills that never happen, 200 in place of 206, a small cache. About one request in eight fails."`
	Seed                 uint64        `name:"seed" group:"Mistakes and faults" placeholder:"N" help:"Seed of all chance; 0 chooses one and logs it."`

	MetadataDelay    time.Duration `name:"metadata-delay" group:"Speed" placeholder:"TIME" help:"Time of every HEAD (${default})." default:"3ms"`
	BackendFirstByte time.Duration `name:"backend-first-byte" group:"Speed" placeholder:"TIME" help:"Time to the first byte from the store (${default})." default:"25ms"`
	BackendRate      int64         `name:"backend-rate" group:"Speed" placeholder:"BYTES" help:"Bytes per second from the store (${default}); 0: unlimited." default:"200000000"`
	CacheFirstByte   time.Duration `name:"cache-first-byte" group:"Speed" placeholder:"TIME" help:"Time to the first byte from the cache (${default})." default:"1ms"`
	CacheRate        int64         `name:"cache-rate" group:"Speed" placeholder:"BYTES" help:"Bytes per second from the cache (${default}); 0: unlimited." default:"2000000000"`
	FillRate         int64         `name:"fill-rate" group:"Speed" placeholder:"BYTES" help:"Bytes per second into the cache (${default}); 0: unlimited." default:"1000000000"`
}

// Help is what the command line shows above the flags.
func (Options) Help() string {
	return `An emulator of LOTA, the cache in front of CoreWeave AI Object Storage, for trying out pre-staging and for tests. ` +
		`It speaks S3 to every client that can address buckets by host name: upload, list and read objects, warm them with ` +
		`HeadObject and Range: bytes=0-0, and ask the admin listener what became of it.

It prints the lines to paste when it has started, and serves until it is interrupted. No DNS is needed: name the LOTA ` +
		`listener as HTTP proxy, or dial it in place of the bucket's host.

What CoreWeave doesn't document is a flag with both sides. It is strict where a real cluster is: path-style requests are ` +
		`400, a bucket that doesn't exist never answers, objects up to 4 MB are never cached, an overwrite makes an object cold.

It is no cache and not for production.`
}

// Defaults are the values that the tags of Options name.
func Defaults() Options {
	o := lotasim.Defaults()
	return Options{
		LOTAAddr: "127.0.0.1:9000", PrimaryAddr: "127.0.0.1:9001", AdminAddr: "127.0.0.1:9002", SecondAdmin: "127.0.0.1:9012",
		Buckets: []string{"ckpt", "models"}, AccessKey: "lotasim", SecretKey: "lotasim-secret", Region: "US-EAST-04A",
		RangedStatus: o.RangedStatus, EmptyStatus: o.EmptyStatus, GetDuringFill: o.GetDuringFill,
		MinCacheBytes: o.MinCacheBytes, Nodes: o.Nodes, NodeBytes: o.NodeBytes,
		MetadataDelay:    o.Timing.Metadata,
		BackendFirstByte: o.Timing.BackendFirstByte, BackendRate: o.Timing.BackendRate,
		CacheFirstByte: o.Timing.CacheFirstByte, CacheRate: o.Timing.CacheRate, FillRate: o.Timing.FillRate,
		UnknownBucketStall: o.UnknownBucketStall, NewBucketDelay: o.NewBucketDelay,
	}
}

// Validate says what is wrong with the flags, before anything is started.
func (o Options) Validate() error {
	if err := o.sim(nil).Validate(); err != nil {
		return err
	}
	if err := o.checkAddrs(); err != nil {
		return err
	}
	for _, v := range []struct{ flag, value string }{{"--access-key", o.AccessKey}, {"--secret-key", o.SecretKey}, {"--region", o.Region}} {
		if v.value == "" {
			return fmt.Errorf("%s: must not be empty", v.flag)
		}
	}
	if o.ListOnly == o.AccessKey {
		return fmt.Errorf("--list-only-key %s: must not be --access-key", o.ListOnly)
	}
	own := slices.Concat(o.Buckets, o.Versioned)
	for _, b := range slices.Concat(own, o.Foreign) {
		if err := object.CheckBucket(b); err != nil {
			return err
		}
	}
	for _, b := range o.Foreign {
		if slices.Contains(own, b) {
			return fmt.Errorf("--foreign-bucket %s: must not be named by --bucket or --versioned-bucket", b)
		}
	}
	return nil
}

func (o Options) checkAddrs() error {
	for _, l := range []struct{ flag, addr string }{
		{"--lota-addr", o.LOTAAddr},
		{"--primary-addr", o.PrimaryAddr},
		{"--admin-addr", o.AdminAddr},
		{"--second-lota-addr", o.SecondLOTA},
		{"--second-admin-addr", o.SecondAdmin},
	} {
		if l.addr == "" && l.flag == "--second-lota-addr" {
			continue
		}
		_, port, err := net.SplitHostPort(l.addr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fmt.Errorf("%s %s: want host:port", l.flag, l.addr)
		}
	}
	return nil
}

// sim are the emulator's own options.
func (o Options) sim(log *slog.Logger) lotasim.Options {
	s := lotasim.Defaults()
	s.Logger, s.Seed = log, o.Seed
	s.RangedStatus, s.EmptyStatus, s.GetDuringFill = o.RangedStatus, o.EmptyStatus, o.GetDuringFill
	s.Synchronous, s.Refill, s.AnyRangeFills = o.Synchronous, o.Refill, o.AnyRangeFills
	s.PlainHeadFills, s.FillOnPut, s.VersionsBypass, s.HonourCacheControl = o.PlainHeadFills, o.FillOnPut, o.VersionsBypass, o.HonourCacheControl
	s.DropProbability, s.MinCacheBytes, s.Nodes, s.NodeBytes = o.DropProbability, o.MinCacheBytes, o.Nodes, o.NodeBytes
	s.FullCacheRefuses, s.CacheTTL, s.RefillLost = o.FullCacheRefuses, o.CacheTTL, o.RefillLost
	s.UnknownBucketStall, s.UnknownBucketAnswers = o.UnknownBucketStall, o.UnknownBucketAnswers
	s.NewBucketDelay, s.NewBucketBare = o.NewBucketDelay, o.NewBucketBare
	s.Timing = lotasim.Timing{
		Metadata:         o.MetadataDelay,
		BackendFirstByte: o.BackendFirstByte, BackendRate: o.BackendRate,
		CacheFirstByte: o.CacheFirstByte, CacheRate: o.CacheRate, FillRate: o.FillRate,
	}
	if o.Hostile {
		s = s.Hostile()
	}
	return s
}
