// What /docs adds to Swagger UI: bodies and answers in msgpack and NDJSON.

/** The parts of a value in msgpack, with every length in 32 bits. */
function* msgpack(value) {
  if (value === null) yield Uint8Array.of(0xc0);
  else if (typeof value === "boolean") yield Uint8Array.of(value ? 0xc3 : 0xc2);
  else if (Number.isSafeInteger(value)) yield tagged(0xd3, "setBigInt64", BigInt(value));
  else if (typeof value === "number") yield tagged(0xcb, "setFloat64", value);
  else if (typeof value === "string") {
    const text = new TextEncoder().encode(value);
    yield tagged(0xdb, "setUint32", text.length);
    yield text;
  } else if (Array.isArray(value)) {
    yield tagged(0xdd, "setUint32", value.length);
    for (const each of value) yield* msgpack(each);
  } else {
    const entries = Object.entries(value);
    yield tagged(0xdf, "setUint32", entries.length);
    for (const each of entries.flat()) yield* msgpack(each);
  }
}

/** A byte that says what follows, then a number in big-endian order. */
function tagged(byte, setter, number) {
  const view = new DataView(new ArrayBuffer(setter === "setUint32" ? 5 : 9));
  view.setUint8(0, byte);
  view[setter](1, number);
  return view;
}

/** Send the JSON that is shown for msgpack as msgpack. The curl command names it as a file, because it is binary. */
function encodeBody(request) {
  if (request.headers["Content-Type"] === "application/msgpack") {
    try {
      request.body = new File([...msgpack(JSON.parse(request.body))], "body.msgpack");
    } catch {
      request.headers["Content-Type"] = "application/json"; // it is not: the server says where
    }
  }
  return request;
}

// Swagger UI would quote NDJSON, because its name has "json" in it, and would show msgpack as text.
const SHOWN_AS = { "application/x-ndjson": "text/plain", "application/msgpack": "application/octet-stream" };

/** A plug-in that shows lines as they are, in examples and in answers, and offers answers in msgpack as files. */
function showMedia({ fn }) {
  const sample = fn.jsonSchema202012.getJsonSampleSchema;
  const getJsonSampleSchema = (schema, config, media, example) =>
    sample(schema, config, SHOWN_AS[media] ?? media, example);
  const responseBody = (Body, { React }) => (props) =>
    React.createElement(Body, { ...props, contentType: SHOWN_AS[props.contentType] ?? props.contentType });
  return { fn: { jsonSchema202012: { getJsonSampleSchema } }, wrapComponents: { responseBody } };
}
