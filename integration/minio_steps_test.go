package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// minioSteps are done one after the other: some need what earlier ones made.
func minioSteps() []step {
	var out []step
	for _, k := range hostileKeys {
		out = append(out, step{"put-" + k.name, put(bucket, k.key, k.name), bucket, k.key, "s3:ObjectCreated:Put", isWarm})
	}
	const last, parts, empty, folder = "run-7/last.ckpt", "run-7/in parts+1.ckpt", "run-7/empty", "run-8/"
	copied := "copies of/" + last
	return append(
		out,
		step{"put-first", put(bucket, last, "step 100"), bucket, last, "s3:ObjectCreated:Put", isWarm},
		step{"put-over-it", put(bucket, last, "step 200, other bytes"), bucket, last, "s3:ObjectCreated:Put", isWarm},
		step{"multipart", putInParts(bucket, parts), bucket, parts, "s3:ObjectCreated:CompleteMultipartUpload", isWarm},
		step{"copy", copyTo(bucket, last, copied), bucket, copied, "s3:ObjectCreated:Copy", isWarm},
		step{"put-versioned", put(versionedBucket, last, "v1"), versionedBucket, last, "s3:ObjectCreated:Put", isWarm},
		step{"put-empty", put(bucket, empty, ""), bucket, empty, "s3:ObjectCreated:Put", isEmpty},
		step{"put-folder", put(bucket, folder, ""), bucket, folder, "s3:ObjectCreated:Put", isIdle},
		step{"put-tagging", tag(bucket, last), bucket, last, "s3:ObjectCreated:PutTagging", isIdle},
		step{"delete-tagging", untag(bucket, last), bucket, last, "s3:ObjectCreated:DeleteTagging", isIdle},
		step{"get", get(bucket, last), bucket, last, "s3:ObjectAccessed:Get", isIdle},
		step{"head", head(bucket, last), bucket, last, "s3:ObjectAccessed:Head", isIdle},
		step{"delete", remove(bucket, last), bucket, last, "s3:ObjectRemoved:Delete", isIdle},
		step{"delete-what-is-gone", remove(bucket, "never/there"), bucket, "never/there", "s3:ObjectRemoved:NoOP", isIdle},
		step{"delete-versioned", remove(versionedBucket, last), versionedBucket, last, "s3:ObjectRemoved:DeleteMarkerCreated", isIdle},
	)
}

type action = func(ctx context.Context, m *minio) error

func put(bucket, key, body string) action {
	return func(ctx context.Context, m *minio) error {
		_, err := m.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: strings.NewReader(body), ContentType: aws.String("application/octet-stream"),
		})
		return err
	}
}

// putInParts uploads the least that has two parts: 5 MiB and a byte.
func putInParts(bucket, key string) action {
	return func(ctx context.Context, m *minio) error {
		upload, err := m.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		var done []types.CompletedPart
		for i, size := range []int{5 << 20, 1} {
			number := aws.Int32(int32(i + 1))
			part, err := m.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: number,
				Body: bytes.NewReader(make([]byte, size)),
			})
			if err != nil {
				return fmt.Errorf("part %d: %w", i+1, err)
			}
			done = append(done, types.CompletedPart{
				ETag: part.ETag, PartNumber: number,
				ChecksumCRC32: part.ChecksumCRC32, ChecksumCRC64NVME: part.ChecksumCRC64NVME,
			})
		}
		_, err = m.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &bucket, Key: &key, UploadId: upload.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		})
		return err
	}
}

func copyTo(bucket, from, to string) action {
	return func(ctx context.Context, m *minio) error {
		_, err := m.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: &to, CopySource: aws.String(bucket + "/" + from)})
		return err
	}
}

func tag(bucket, key string) action {
	return func(ctx context.Context, m *minio) error {
		tags := []types.Tag{{Key: aws.String("keep"), Value: aws.String("yes")}}
		_, err := m.client.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: &bucket, Key: &key, Tagging: &types.Tagging{TagSet: tags}})
		return err
	}
}

func untag(bucket, key string) action {
	return func(ctx context.Context, m *minio) error {
		_, err := m.client.DeleteObjectTagging(ctx, &s3.DeleteObjectTaggingInput{Bucket: &bucket, Key: &key})
		return err
	}
}

func get(bucket, key string) action {
	return func(ctx context.Context, m *minio) error {
		out, err := m.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return err
		}
		return out.Body.Close()
	}
}

func head(bucket, key string) action {
	return func(ctx context.Context, m *minio) error {
		_, err := m.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
}

func remove(bucket, key string) action {
	return func(ctx context.Context, m *minio) error {
		_, err := m.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
}
