// The echo of two_way_echo.py.

module.exports.handler = async (event) => ({ statusCode: 200, body: event.body ?? "" })
