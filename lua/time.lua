-- time: now, iso8601 and parse are C; sleep is a host call, so that a sleeping function costs
-- nothing and its deadline holds.
local core, env = ...

local call, check = core.call, core.check
local SLEEP, MS = core.numbers["time.sleep"], core.numbers.ms

function env.time.sleep(seconds)
  check.need("time.sleep", 1, seconds, "number")
  if not (seconds >= 0 and seconds <= 900) then
    check.fail("time.sleep", 1, "0 to 900 seconds")
  end
  local result, err = call(SLEEP, MS, math.ceil(seconds * 1000))
  if not result then
    return nil, err
  end
  return true
end
