// The echo of posting_echo.py, by the AWS SDK for JavaScript.

const { ApiGatewayManagementApiClient, PostToConnectionCommand } = require("@aws-sdk/client-apigatewaymanagementapi")

const gateway = new ApiGatewayManagementApiClient({
  endpoint: process.env.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI,
})

module.exports.handler = async ({ body, requestContext }) => {
  if (requestContext.eventType === "MESSAGE") {
    await gateway.send(new PostToConnectionCommand({ ConnectionId: requestContext.connectionId, Data: body }))
  }
  return { statusCode: 200 }
}
