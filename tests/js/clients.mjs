// The AWS SDK for JavaScript, and MinIO's client, against a server at ENDPOINT. Each case prints one line of JSON:
// {"name", "ok", "error"}. ROLE is a role for functions, ZIP a package whose handler.main answers.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import {
  CloudWatchLogsClient, DescribeLogGroupsCommand, DescribeLogStreamsCommand, FilterLogEventsCommand, GetLogEventsCommand,
  ResourceNotFoundException as NoLogs,
} from "@aws-sdk/client-cloudwatch-logs";
import {
  CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, InvokeCommand, LambdaClient, ListFunctionsCommand,
  ResourceConflictException, ResourceNotFoundException, UpdateFunctionConfigurationCommand, waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import * as S3 from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import * as Minio from "minio";

const config = {
  endpoint: process.env.ENDPOINT, region: "us-east-1", maxAttempts: 1,
  credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY },
};
const s3 = new S3.S3Client({ ...config, forcePathStyle: true });
const lambda = new LambdaClient(config);
const logs = new CloudWatchLogsClient(config);
const unique = (prefix) => `${prefix}-${randomBytes(4).toString("hex")}`;
const Bucket = unique("js");
const md5 = (data) => createHash("md5").update(data).digest("hex");
const send = (command) => s3.send(command);
const put = (Key, Body, more) => send(new S3.PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (Key, more) => {
  const got = await send(new S3.GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await got.Body.transformToByteArray());
};

// data in pieces, so that nobody knows its length
async function* pieces(data, size) {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

const cases = {
  async bucket() {
    await send(new S3.CreateBucketCommand({ Bucket }));
    await S3.waitUntilBucketExists({ client: s3, maxWaitTime: 10 }, { Bucket });
    assert((await send(new S3.ListBucketsCommand({}))).Buckets.some((b) => b.Name === Bucket));
    assert.equal((await send(new S3.HeadBucketCommand({ Bucket }))).BucketRegion, "us-east-1");
    await assert.rejects(send(new S3.CreateBucketCommand({ Bucket })), S3.BucketAlreadyOwnedByYou);
  },

  async put_and_get() {
    const body = "ünïcode body";
    const { ETag, ChecksumCRC32 } = await put("a b/ü+%.txt", body, { ContentType: "text/plain", Metadata: { colour: "blue" } });
    assert.equal(ETag, `"${md5(body)}"`);
    assert(ChecksumCRC32, "a checksum comes unasked");
    const got = await send(new S3.GetObjectCommand({ Bucket, Key: "a b/ü+%.txt", ChecksumMode: "ENABLED" }));
    assert.equal(await got.Body.transformToString(), body);
    assert.deepEqual([got.ContentType, got.Metadata, got.ChecksumCRC32], ["text/plain", { colour: "blue" }, ChecksumCRC32]);
    const head = await send(new S3.HeadObjectCommand({ Bucket, Key: "a b/ü+%.txt" }));
    assert.equal(head.ContentLength, Buffer.byteLength(body));
    assert.equal((await get("a b/ü+%.txt", { Range: "bytes=0-1" })).toString(), "ü");
  },

  async stream_upload() {
    const body = randomBytes(3_000_000);
    await put("stream", Readable.from(pieces(body, 70_001)), { ContentLength: body.length });
    assert.equal(md5(await get("stream")), md5(body));
    for (const ChecksumAlgorithm of ["CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
      const small = randomBytes(100_000);
      const done = await put("sum", Readable.from(pieces(small, 9999)), { ContentLength: small.length, ChecksumAlgorithm });
      assert(done[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm);
      assert.equal(md5(await get("sum", { ChecksumMode: "ENABLED" })), md5(small));
    }
    await put("empty", "");
    assert.equal((await get("empty")).length, 0);
  },

  async lib_storage_upload() {
    const body = randomBytes(17_000_000);
    let progress = 0;
    const upload = new Upload({ client: s3, params: { Bucket, Key: "large", Body: Readable.from(pieces(body, 1 << 16)), ContentType: "x/y" }, queueSize: 3 });
    upload.on("httpUploadProgress", (p) => { progress = p.loaded; });
    const done = await upload.done();
    assert.match(done.ETag, /-4"$/);
    assert.equal(progress, body.length);
    assert.equal(md5(await get("large", { ChecksumMode: "ENABLED" })), md5(body));
    const small = await new Upload({ client: s3, params: { Bucket, Key: "small", Body: "one put" } }).done();
    assert.equal(small.ETag, `"${md5("one put")}"`);
    const cut = new Upload({ client: s3, params: { Bucket, Key: "cut", Body: Readable.from(pieces(body, 1 << 16)) } });
    cut.on("httpUploadProgress", () => cut.abort());
    await assert.rejects(cut.done(), { name: "AbortError" });
    await assert.rejects(send(new S3.HeadObjectCommand({ Bucket, Key: "cut" })), S3.NotFound);
  },

  async links() {
    const url = await getSignedUrl(s3, new S3.PutObjectCommand({ Bucket, Key: "linked ü", ContentType: "text/x" }), { expiresIn: 60 });
    const sent = await fetch(url, { method: "PUT", body: "by link", headers: { "content-type": "text/x" } });
    assert.equal(sent.status, 200, await sent.text());
    const read = await getSignedUrl(s3, new S3.GetObjectCommand({ Bucket, Key: "linked ü", ResponseContentType: "text/y" }), { expiresIn: 60 });
    const got = await fetch(read);
    assert.deepEqual([await got.text(), got.headers.get("content-type")], ["by link", "text/y"]);
    assert.equal((await fetch(read.replace("linked", "other"))).status, 403);
    const head = await fetch(await getSignedUrl(s3, new S3.HeadObjectCommand({ Bucket, Key: "linked ü" })), { method: "HEAD" });
    assert.equal(head.headers.get("content-length"), "7");
    const gone = await fetch(await getSignedUrl(s3, new S3.DeleteObjectCommand({ Bucket, Key: "linked ü" })), { method: "DELETE" });
    assert.equal(gone.status, 204);
  },

  async lists() {
    const names = Array.from({ length: 25 }, (_, i) => `list/${String(i).padStart(2, "0")} ä&`);
    await Promise.all(names.map((n) => put(n, n)));
    const found = [];
    for await (const page of S3.paginateListObjectsV2({ client: s3, pageSize: 10 }, { Bucket, Prefix: "list/" })) found.push(...page.Contents.map((o) => o.Key));
    assert.deepEqual(found, names);
    const versions = await send(new S3.ListObjectVersionsCommand({ Bucket, Prefix: "list/", MaxKeys: 5 }));
    assert.deepEqual([versions.Versions.length, versions.IsTruncated, versions.Versions[0].VersionId], [5, true, "null"]);
    const deleted = await send(new S3.DeleteObjectsCommand({ Bucket, Delete: { Objects: names.map((Key) => ({ Key })) } }));
    assert.equal(deleted.Deleted.length, 25);
    assert.equal((await send(new S3.ListObjectsV2Command({ Bucket, Prefix: "list/" }))).KeyCount, 0);
  },

  async copy_and_tags() {
    await put("source", "copied", { Tagging: "a=1" });
    const copy = await send(new S3.CopyObjectCommand({ Bucket, Key: "target", CopySource: `${Bucket}/source` }));
    assert.equal(copy.CopyObjectResult.ETag, `"${md5("copied")}"`);
    await send(new S3.PutObjectTaggingCommand({ Bucket, Key: "target", Tagging: { TagSet: [{ Key: "b", Value: "2" }] } }));
    assert.deepEqual((await send(new S3.GetObjectTaggingCommand({ Bucket, Key: "target" }))).TagSet, [{ Key: "b", Value: "2" }]);
    const told = await send(new S3.GetObjectAttributesCommand({ Bucket, Key: "large", ObjectAttributes: ["ObjectSize", "ObjectParts"] }));
    assert.deepEqual([told.ObjectSize, told.ObjectParts.TotalPartsCount], [17_000_000, 4]);
  },

  async errors() {
    await assert.rejects(get("nothing"), S3.NoSuchKey);
    await assert.rejects(send(new S3.HeadObjectCommand({ Bucket, Key: "nothing" })), S3.NotFound);
    await assert.rejects(send(new S3.ListObjectsV2Command({ Bucket: unique("no") })), S3.NoSuchBucket);
    await assert.rejects(put("source", "x", { IfNoneMatch: "*" }), { name: "PreconditionFailed" });
    const wrong = new S3.S3Client({ ...config, forcePathStyle: true, credentials: { accessKeyId: "AKIANOBODY", secretAccessKey: "x" } });
    await assert.rejects(wrong.send(new S3.ListBucketsCommand({})), { name: "InvalidAccessKeyId" });
  },

  async functions() {
    const FunctionName = unique("js"), ZipFile = readFileSync(process.env.ZIP);
    await lambda.send(new CreateFunctionCommand({ FunctionName, Runtime: "provided.al2023", Handler: "handler.main", Role: process.env.ROLE, Code: { ZipFile } }));
    await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: 5 }, { FunctionName });
    const run = await lambda.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify({ n: 20 }), LogType: "Tail" }));
    assert.deepEqual([run.StatusCode, run.ExecutedVersion, JSON.parse(run.Payload.transformToString())], [200, "$LATEST", { twice: 40 }]);
    assert.match(Buffer.from(run.LogResult, "base64").toString(), /seen 20/);
    const failed = await lambda.send(new InvokeCommand({ FunctionName, Payload: "{}" }));
    assert.equal(failed.FunctionError, "Unhandled");
    assert.equal((await lambda.send(new InvokeCommand({ FunctionName, InvocationType: "Event", Payload: JSON.stringify({ n: 1 }) }))).StatusCode, 202);
    await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 7, Environment: { Variables: { A: "1" } } }));
    await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 5 }, { FunctionName });
    const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName }));
    assert.deepEqual([Configuration.Timeout, Configuration.Environment.Variables], [7, { A: "1" }]);
    assert((await lambda.send(new ListFunctionsCommand({}))).Functions.some((f) => f.FunctionName === FunctionName));
    await assert.rejects(lambda.send(new CreateFunctionCommand({ FunctionName, Runtime: "provided.al2023", Handler: "handler.main", Role: process.env.ROLE, Code: { ZipFile } })),
      ResourceConflictException);

    const logGroupName = `/aws/lambda/${FunctionName}`;
    assert.equal((await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: logGroupName }))).logGroups.length, 1);
    const found = await logs.send(new FilterLogEventsCommand({ logGroupName, filterPattern: '"seen 20"' }));
    assert.match(found.events[0].message, /seen 20/);
    const { logStreams } = await logs.send(new DescribeLogStreamsCommand({ logGroupName, orderBy: "LastEventTime", descending: true }));
    const { events } = await logs.send(new GetLogEventsCommand({ logGroupName, logStreamName: logStreams[0].logStreamName, startFromHead: true }));
    assert(events.some((e) => e.message.startsWith("REPORT RequestId:")));

    await lambda.send(new DeleteFunctionCommand({ FunctionName }));
    await assert.rejects(lambda.send(new GetFunctionCommand({ FunctionName })), ResourceNotFoundException);
    await assert.rejects(logs.send(new FilterLogEventsCommand({ logGroupName: unique("/no") })), NoLogs);
  },

  async minio() {
    const { hostname, port } = new URL(process.env.ENDPOINT), name = unique("minio");
    const { accessKeyId: accessKey, secretAccessKey: secretKey } = config.credentials;
    const client = new Minio.Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey });
    const collect = async (stream) => { const all = []; for await (const one of stream) all.push(one); return all; };
    await client.makeBucket(name, "us-east-1");
    assert(await client.bucketExists(name));
    await client.putObject(name, "k ü", "body", 4, { "Content-Type": "text/x", "X-Amz-Meta-A": "1" });
    assert.equal((await client.statObject(name, "k ü")).metaData.a, "1");
    const body = randomBytes(12_000_000);
    await client.putObject(name, "stream", Readable.from(pieces(body, 1 << 16))); // parts of an unknown length
    assert.equal(md5(Buffer.concat(await collect(await client.getObject(name, "stream")))), md5(body));
    await client.copyObject(name, "copy", `/${name}/k ü`);
    assert.equal(await (await fetch(await client.presignedGetObject(name, "copy", 60))).text(), "body");
    assert.equal((await fetch(await client.presignedPutObject(name, "put", 60), { method: "PUT", body: "x" })).status, 200);
    const policy = client.newPostPolicy();
    policy.setBucket(name);
    policy.setKey("posted");
    policy.setExpires(new Date(Date.now() + 60_000));
    policy.setContentLengthRange(1, 100);
    const { postURL, formData } = await client.presignedPostPolicy(policy), form = new FormData();
    for (const [key, value] of Object.entries(formData)) form.append(key, value);
    form.append("file", new Blob(["from a form"]), "name");
    assert.equal((await fetch(postURL, { method: "POST", body: form })).status, 204);
    const names = (await collect(client.listObjectsV2(name, "", true))).map((o) => o.name);
    assert.deepEqual(names, ["copy", "k ü", "posted", "put", "stream"]);
    await client.removeObjects(name, names);
    await client.removeBucket(name);
    assert(!(await client.bucketExists(name)));
  },

  async cleaning_up() {
    for await (const page of S3.paginateListObjectsV2({ client: s3 }, { Bucket }))
      await send(new S3.DeleteObjectsCommand({ Bucket, Delete: { Objects: page.Contents.map(({ Key }) => ({ Key })), Quiet: true } }));
    await send(new S3.DeleteBucketCommand({ Bucket }));
    await assert.rejects(send(new S3.HeadBucketCommand({ Bucket })), S3.NotFound);
  },
};

if (process.argv[2] === "--list") {
  console.log(JSON.stringify(Object.keys(cases)));
} else {
  for (const [name, run] of Object.entries(cases)) {
    const result = { name, ok: true };
    try {
      await run();
    } catch (e) {
      Object.assign(result, { ok: false, error: e.stack ?? String(e), answer: e.$metadata, code: e.name });
    }
    console.log(JSON.stringify(result));
  }
}
