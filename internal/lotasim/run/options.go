package run

import (
	"log/slog"
	"time"

	"github.com/prestage/prestage/internal/lotasim"
)

// Options are the command's flags; Defaults has the values that their tags name.
type Options struct {
	LOTAAddr    string `name:"lota-addr" help:"Address of the LOTA listener." default:"127.0.0.1:9000"`
	PrimaryAddr string `name:"primary-addr" help:"Address of the primary (cwobject) listener." default:"127.0.0.1:9001"`
	AdminAddr   string `name:"admin-addr" help:"Address of the admin listener: history, truth, faults." default:"127.0.0.1:9002"`

	Data      string   `name:"data" help:"Folder that keeps the objects. Without one they are gone at the end." type:"path"`
	Buckets   []string `name:"bucket" help:"Buckets to create." default:"ckpt,models"`
	AccessKey string   `name:"access-key" help:"Access key id." default:"lotasim"`
	SecretKey string   `name:"secret-key" help:"Secret access key." default:"lotasim-secret"`
	Region    string   `name:"region" help:"Region that requests are signed for." default:"US-EAST-04A"`

	Seed            uint64  `name:"seed" help:"Seed of all chance; 0 chooses one and logs it."`
	RangedStatus    int     `name:"ranged-status" help:"Answer to a ranged HEAD: 206 or 200." default:"206"`
	EmptyStatus     int     `name:"empty-status" help:"Answer to a ranged HEAD of an empty object: 416 or 200." default:"416"`
	Synchronous     bool    `name:"synchronous" help:"A ranged HEAD answers when the fill is done."`
	Refill          bool    `name:"refill" help:"A ranged HEAD of what is cached or being filled fills again."`
	AnyRangeFills   bool    `name:"any-range-fills" help:"Every Range on a HEAD fills, not only bytes=0-0."`
	DropProbability float64 `name:"drop" help:"How often, 0 to 1, a fill never happens although its HEAD succeeded." default:"0"`
	MinCacheBytes   int64   `name:"min-cache-bytes" help:"Largest size that is never cached." default:"4000000"`
	Nodes           int     `name:"nodes" help:"Nodes of the cache." default:"2"`
	NodeBytes       int64   `name:"node-bytes" help:"Capacity of a node." default:"17179869184"`

	MetadataDelay    time.Duration `name:"metadata-delay" help:"Time of every HEAD." default:"3ms"`
	BackendFirstByte time.Duration `name:"backend-first-byte" help:"Time to the first byte from the store." default:"25ms"`
	BackendRate      int64         `name:"backend-rate" help:"Bytes per second from the store; 0: unlimited." default:"200000000"`
	CacheFirstByte   time.Duration `name:"cache-first-byte" help:"Time to the first byte from the cache." default:"1ms"`
	CacheRate        int64         `name:"cache-rate" help:"Bytes per second from the cache; 0: unlimited." default:"2000000000"`
	FillRate         int64         `name:"fill-rate" help:"Bytes per second into the cache; 0: unlimited." default:"1000000000"`

	UnknownBucketStall time.Duration `name:"unknown-bucket-stall" help:"How long a bucket that does not exist hangs." default:"1m"`
	NewBucketDelay     time.Duration `name:"new-bucket-delay" help:"How long a bucket created through S3 answers 400." default:"1m"`
}

// Defaults are the values that the tags of Options name.
func Defaults() Options {
	o := lotasim.Defaults()
	return Options{
		LOTAAddr: "127.0.0.1:9000", PrimaryAddr: "127.0.0.1:9001", AdminAddr: "127.0.0.1:9002",
		Buckets: []string{"ckpt", "models"}, AccessKey: "lotasim", SecretKey: "lotasim-secret", Region: "US-EAST-04A",
		RangedStatus: o.RangedStatus, EmptyStatus: o.EmptyStatus,
		MinCacheBytes: o.MinCacheBytes, Nodes: o.Nodes, NodeBytes: o.NodeBytes,
		MetadataDelay:    o.Timing.Metadata,
		BackendFirstByte: o.Timing.BackendFirstByte, BackendRate: o.Timing.BackendRate,
		CacheFirstByte: o.Timing.CacheFirstByte, CacheRate: o.Timing.CacheRate, FillRate: o.Timing.FillRate,
		UnknownBucketStall: o.UnknownBucketStall, NewBucketDelay: o.NewBucketDelay,
	}
}

func (o Options) sim(log *slog.Logger) lotasim.Options {
	s := lotasim.Defaults()
	s.Logger, s.Seed = log, o.Seed
	s.RangedStatus, s.EmptyStatus = o.RangedStatus, o.EmptyStatus
	s.Synchronous, s.Refill, s.AnyRangeFills, s.DropProbability = o.Synchronous, o.Refill, o.AnyRangeFills, o.DropProbability
	s.MinCacheBytes, s.Nodes, s.NodeBytes = o.MinCacheBytes, o.Nodes, o.NodeBytes
	s.Timing = lotasim.Timing{
		Metadata:         o.MetadataDelay,
		BackendFirstByte: o.BackendFirstByte, BackendRate: o.BackendRate,
		CacheFirstByte: o.CacheFirstByte, CacheRate: o.CacheRate, FillRate: o.FillRate,
	}
	s.UnknownBucketStall, s.NewBucketDelay = o.UnknownBucketStall, o.NewBucketDelay
	return s
}
