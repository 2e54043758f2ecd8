"""Does one step with boto3, as a user's script would: STEP ENDPOINT BUCKET KEY FILE."""

import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

step, endpoint, bucket, key, file = sys.argv[1:]
style = "auto" if step == "default-addressing" else "virtual"
s3 = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": style}))
parts = TransferConfig(multipart_threshold=16 << 20, multipart_chunksize=16 << 20)

if step in ("upload", "multipart"):
    s3.upload_file(file, bucket, key, Config=parts)
elif step == "list":
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        for entry in page["Contents"]:
            print(entry["Key"])
elif step == "read":
    s3.download_file(bucket, key, file)
elif step == "resume":
    with open(file, "ab") as f:
        f.write(s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={f.tell()}-")["Body"].read())
elif step in ("warm", "default-addressing"):
    s3.head_object(Bucket=bucket, Key=key, Range="bytes=0-0")
else:
    sys.exit(f"no step {step}")
