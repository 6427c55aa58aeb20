// samples: events as the sources send them, to try a function with.
interface Sample {
  name: string;
  event: (bucket: string, region: string) => unknown;
}

export const SAMPLES: Sample[] = [
  { name: "Empty", event: () => ({}) },
  {
    name: "S3: an object was created",
    event: (bucket, awsRegion) => ({
      Records: [
        {
          eventVersion: "2.1",
          eventSource: "aws:s3",
          awsRegion,
          eventTime: new Date().toISOString(),
          eventName: "ObjectCreated:Put",
          userIdentity: { principalId: "000000000000" },
          requestParameters: { sourceIPAddress: "127.0.0.1" },
          responseElements: { "x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "example" },
          s3: {
            s3SchemaVersion: "1.0",
            configurationId: "test",
            bucket: { name: bucket, ownerIdentity: { principalId: "000000000000" }, arn: `arn:aws:s3:::${bucket}` },
            object: { key: "folder/picture.png", size: 1024, eTag: "d41d8cd98f00b204e9800998ecf8427e", sequencer: "0A1B2C3D4E5F678901" },
          },
        },
      ],
    }),
  },
  {
    name: "Schedule",
    event: (_, region) => ({
      version: "0",
      id: "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
      "detail-type": "Scheduled Event",
      source: "aws.events",
      account: "000000000000",
      time: `${new Date().toISOString().slice(0, 19)}Z`,
      region,
      resources: [`arn:aws:events:${region}:000000000000:rule/test`],
      detail: {},
    }),
  },
  {
    name: "URL: a request",
    event: () => ({
      version: "2.0",
      routeKey: "$default",
      rawPath: "/hello",
      rawQueryString: "name=moon",
      headers: { accept: "*/*", "content-type": "application/json", host: "localhost" },
      queryStringParameters: { name: "moon" },
      requestContext: {
        accountId: "anonymous",
        http: { method: "POST", path: "/hello", protocol: "HTTP/1.1", sourceIp: "127.0.0.1", userAgent: "test" },
        requestId: "id",
        routeKey: "$default",
        stage: "$default",
        timeEpoch: Date.now(),
      },
      body: '{"hello":"world"}',
      isBase64Encoded: false,
    }),
  },
];
