-- payload: the tables that an invocation is given, as constructors that C calls with the values.
--
-- A table of constants is copied in one step, names and all, and what follows only sets values; set one
-- by one from C the fields of a request cost three times as much. The constants `false` keep the
-- places: bytecode, which is what our modules are kept as, has no names whose value is nil.
local core = ...

-- Payload format 2.0. What a request does not have is nil.
function core.make_request(id, time, epoch, api, account, authorizer, domain, prefix, method, path, protocol,
    source_ip, user_agent, query, parameters, headers, cookies, body, is_base64)
  local http = { method = false, path = false, protocol = false, sourceIp = false, userAgent = false }
  http.method = method
  http.path = path
  http.protocol = protocol
  http.sourceIp = source_ip
  http.userAgent = user_agent
  local context = {
    accountId = false, apiId = false, domainName = false, domainPrefix = false, http = false, requestId = false,
    routeKey = "$default", stage = "$default", time = false, timeEpoch = false,
  }
  context.accountId = account
  context.apiId = api
  context.domainName = domain
  context.domainPrefix = prefix
  context.http = http
  context.requestId = id
  context.time = time
  context.timeEpoch = epoch
  if authorizer then
    context.authorizer = authorizer
  end
  local request = {
    version = "2.0", routeKey = "$default", rawPath = false, rawQueryString = false, headers = false,
    requestContext = false, isBase64Encoded = false,
  }
  request.rawPath = path
  request.rawQueryString = query
  request.headers = headers
  request.requestContext = context
  request.isBase64Encoded = is_base64
  if parameters then
    request.queryStringParameters = parameters
  end
  if cookies then
    request.cookies = cookies
  end
  if body then
    request.body = body
  end
  return request
end

function core.make_context(id, arn, attempt, client_context)
  local context = { aws_request_id = false, request_id = false, invoked_function_arn = false, attempt = false }
  context.aws_request_id = id
  context.request_id = id
  context.invoked_function_arn = arn
  context.attempt = attempt
  if client_context ~= nil then
    context.client_context = client_context
  end
  return context
end
