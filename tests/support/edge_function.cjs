// Stands in for CloudFront: runs a function of its own for viewer requests. Each line of input is a JSON array: first
// [code], then one [path, query] for each request. Each gets a line of output: the [path, query] that goes to the origin.
"use strict";

const readline = require("node:readline");
const vm = require("node:vm");

// Nothing of node is in reach of the function: what it needs beyond the language, it doesn't get from CloudFront either.
const edge = vm.createContext(Object.create(null), { codeGeneration: { strings: false, wasm: false } });

// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
function viewerRequest(path, query) {
  return {
    version: "1.0",
    context: {
      distributionDomainName: "d111111abcdef8.cloudfront.net",
      distributionId: "EDFDVBD6EXAMPLE",
      eventType: "viewer-request",
      requestId: "EXAMPLEntjQpEXAMPLE_SG5Z-EXAMPLEPmPfEXAMPLEu3EqEXAMPLE==",
    },
    viewer: { ip: "198.51.100.11" },
    request: {
      method: "GET",
      uri: path,
      querystring: parsed(query || ""),
      headers: { host: { value: "d111111abcdef8.cloudfront.net" }, "sec-websocket-version": { value: "13" } },
      cookies: {},
      // Undefined when there isn't even a question mark.
      rawQueryString: () => (query === null ? undefined : query),
    },
  };
}

function parsed(query) {
  const parameters = Object.create(null);
  for (const pair of query.split("&").filter(Boolean)) {
    const [name, ...value] = pair.split("=");
    const values = (parameters[name]?.multiValue ?? []).concat({ value: value.join("=") });
    parameters[name] = { value: values[0].value, multiValue: values };
  }
  return parameters;
}

function answer(path, query) {
  const request = edge.handler(viewerRequest(path, query));
  // A function that leaves the parsed query alone leaves the query as it came.
  return [request.uri, typeof request.querystring === "string" ? request.querystring : query];
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const given = JSON.parse(line);
  if (given.length === 1) {
    vm.runInContext(given[0], edge);
    return;
  }
  process.stdout.write(JSON.stringify(answer(...given)) + "\n");
});
