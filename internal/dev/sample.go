package dev

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
)

// The sample: a model as Hugging Face lays it out and a checkpoint as PyTorch's
// distributed checkpointing does, each with large parts and small files.
const (
	modelBucket = "models"
	modelPrefix = "llama-sample/v1/"
	modelShards = 4
	shardBytes  = 12 << 20

	checkpointBucket = "checkpoints"
	checkpointPrefix = "run-7/step-100/"
	checkpointRanks  = 4
	rankBytes        = 8 << 20
)

// file is one object of the sample.
type file struct {
	bucket string
	key    string
	data   []byte
}

func (f file) uri() string { return "s3://" + f.bucket + "/" + f.key }

// sampleModel is a safetensors model: shards, their index, and what a loader
// reads beside them. The index is the last, as savers write it.
func sampleModel() ([]file, error) {
	var files []file
	weights := map[string]string{}
	total := 0
	for i := range modelShards {
		tensor := fmt.Sprintf("model.layers.%d.weight", i)
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, modelShards)
		shard, err := safetensors(tensor, shardBytes, uint64(i))
		if err != nil {
			return nil, err
		}
		files = append(files, file{modelBucket, modelPrefix + name, shard})
		weights[tensor] = name
		total += shardBytes
	}
	index, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"total_size": total}, "weight_map": weights,
	})
	if err != nil {
		return nil, fmt.Errorf("encode index: %w", err)
	}
	return append(files,
		file{modelBucket, modelPrefix + "config.json", []byte(`{"model_type":"llama","num_hidden_layers":4}`)},
		file{modelBucket, modelPrefix + "model.safetensors.index.json", index},
	), nil
}

// safetensors is one tensor of half floats in the safetensors format: the
// length of the header, the header, the bytes.
func safetensors(tensor string, size int, seed uint64) ([]byte, error) {
	header, err := json.Marshal(map[string]any{
		tensor: map[string]any{"dtype": "F16", "shape": []int{size / 2}, "data_offsets": []int{0, size}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode safetensors header: %w", err)
	}
	var b bytes.Buffer
	b.Grow(8 + len(header) + size)
	_ = binary.Write(&b, binary.LittleEndian, uint64(len(header)))
	b.Write(header)
	b.Write(noise(size, seed))
	return b.Bytes(), nil
}

// sampleCheckpoint is one file a rank, and the metadata that completes it.
func sampleCheckpoint() []file {
	var files []file
	for rank := range checkpointRanks {
		files = append(files, file{
			checkpointBucket, fmt.Sprintf("%s__%d_0.distcp", checkpointPrefix, rank), noise(rankBytes, uint64(100+rank)),
		})
	}
	return append(files, file{checkpointBucket, checkpointPrefix + ".metadata", noise(16<<10, 99)})
}

// noise is size bytes that do not compress.
func noise(size int, seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := slices.Grow([]byte(nil), size)[:size]
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}
